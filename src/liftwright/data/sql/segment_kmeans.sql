-- Squared distances to the centres, in thousandths of a standard deviation, as integers that also
-- encode the cluster index: the smallest key identifies the cluster and breaks ties.
with standardised as (
    select *, ${standardised}
    from ${scored}
),
keyed as (
    select *, ${keys}
    from standardised
),
with_best as (
    select *, least(${key_names}) as best
    from keyed
),
with_runner_up as (
    select *, least(${runner_up_keys}) as runner_up
    from with_best
)
select *, ${label} as _label, ${confidence} as _confidence, ${reason} as _reason
from with_runner_up
