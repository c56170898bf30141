-- Each row's points in every segment, over a common denominator, as integers that also encode the
-- segment's priority: the greatest key names the segment and breaks ties.
with keyed as (
    select *, ${keys}
    from ${scored}
),
led as (
    select *, greatest(${key_names}) as best
    from keyed
),
rivalled as (
    select *, greatest(${rival_keys}) as rival
    from led
)
select *, ${label} as _label, ${confidence} as _confidence, ${reason} as _reason
from rivalled
