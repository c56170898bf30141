-- The values from which a score rises to 2, 3, 4 and 5: the smallest value whose mid-rank (the
-- average rank of the customers who share it) is past each fifth. Null where there is none.
with tally as (
    select ${feature} as value, count(*) as customers
    from customers
    where ${feature} is not null
    group by ${feature}
),
ranked as (
    select
        value,
        customers,
        sum(customers) over (order by value rows between unbounded preceding and current row)
            as upto,
        sum(customers) over () as total
    from tally
)
select
    min(case when (2 * upto - customers) * 5 >= 2 * total then value end),
    min(case when (2 * upto - customers) * 5 >= 4 * total then value end),
    min(case when (2 * upto - customers) * 5 >= 6 * total then value end),
    min(case when (2 * upto - customers) * 5 >= 8 * total then value end)
from ranked
