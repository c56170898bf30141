-- The customers with their segment, looked up by scores, as there are few combinations.
with numbered as (
    select *, ${place} as place
    from scored
)
select *, ${label} as _label, ${confidence} as _confidence, ${reason} as _reason
from numbered
