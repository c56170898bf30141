-- The customers, each with what its scores come to: looked up, as there are few ways to score.
with numbered as (
    select *, ${place} as place
    from scored
)
select *, ${label} as _label, ${confidence} as _confidence, ${reason} as _reason
from numbered
