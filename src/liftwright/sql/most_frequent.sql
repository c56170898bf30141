-- The most frequent values of a text column in each segment.
with tally as (
    select segment, ${column} as value, count(*) as customers
    from profiles
    where ${column} is not null
    group by segment, ${column}
),
ranked as (
    select
        segment,
        value,
        customers,
        row_number() over (partition by segment order by customers desc, value) as place
    from tally
)
select segment, value, customers
from ranked
where place <= ${most}
order by segment, place
