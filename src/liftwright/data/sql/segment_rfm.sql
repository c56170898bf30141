-- The sum of the three scores, and the band it falls into.
with summed as (
    select *, recency_score + frequency_score + monetary_score as total
    from ${scored}
)
select *, ${label} as _label, ${confidence} as _confidence, ${reason} as _reason
from summed
