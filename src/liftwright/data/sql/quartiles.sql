-- Per segment, and for all customers (segment null): how many have a value, and the values at the
-- ranks around each quartile, for interpolation.
with tally as (
    select segment, value, customers
    from value_counts
    where feature = ${feature} and value is not null
),
both_ways as (
    select segment, value, customers from tally
    union all
    select cast(null as varchar) as segment, value, sum(customers) as customers
    from tally
    group by value
),
ranked as (
    select
        segment,
        value,
        sum(customers) over (
            partition by segment order by value rows between unbounded preceding and current row
        ) as upto,
        sum(customers) over (partition by segment) as total
    from both_ways
)
select
    segment,
    max(total) as total,
    min(value) as low,
    min(case when upto > (total - 1) // 4 then value end) as q25,
    min(case when upto > least((total - 1) // 4 + 1, total - 1) then value end) as q25_next,
    min(case when upto > (total - 1) // 2 then value end) as q50,
    min(case when upto > least((total - 1) // 2 + 1, total - 1) then value end) as q50_next,
    min(case when upto > 3 * (total - 1) // 4 then value end) as q75,
    min(case when upto > least(3 * (total - 1) // 4 + 1, total - 1) then value end) as q75_next,
    max(value) as high
from ranked
group by segment
