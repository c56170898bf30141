-- Points per segment over a common denominator, as integers that also encode the segment priority:
-- the largest key identifies the segment and breaks ties.
with keyed as (
    select *, ${keys}
    from ${scored}
),
with_best as (
    select *, greatest(${key_names}) as best
    from keyed
),
with_runner_up as (
    select *, greatest(${runner_up_keys}) as runner_up
    from with_best
)
select *, ${label} as _label, ${confidence} as _confidence, ${reason} as _reason
from with_runner_up
