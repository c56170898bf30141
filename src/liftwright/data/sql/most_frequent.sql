-- The most frequent values of a text column in each segment.
with ranked as (
    select
        segment,
        word as value,
        customers,
        row_number() over (partition by segment order by customers desc, word) as position
    from value_counts
    where feature = ${column} and word is not null
)
select segment, value, customers
from ranked
where position <= ${most}
order by segment, position
