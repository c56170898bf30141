-- The most frequent values of a text column in each segment.
with ranked as (
    select
        segment,
        word as value,
        customers,
        row_number() over (partition by segment order by customers desc, word) as place
    from tallies
    where feature = ${column} and word is not null
)
select segment, value, customers
from ranked
where place <= ${most}
order by segment, place
