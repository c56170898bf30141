-- Each customer with the segment of their combination of scores, looked up because there are few.
with numbered as (
    select *, ${position} as position
    from scored
)
select *, ${label} as _label, ${confidence} as _confidence, ${reason} as _reason
from numbered
