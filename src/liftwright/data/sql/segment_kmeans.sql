-- Squared distances to the centres in thousandths of a standard deviation, as integers that also
-- encode the cluster's index: the least key names the cluster and breaks ties.
with standardised as (
    select *, ${standardised}
    from ${scored}
),
keyed as (
    select *, ${keys}
    from standardised
),
led as (
    select *, least(${key_names}) as best
    from keyed
),
rivalled as (
    select *, least(${rival_keys}) as rival
    from led
)
select *, ${label} as _label, ${confidence} as _confidence, ${reason} as _reason
from rivalled
