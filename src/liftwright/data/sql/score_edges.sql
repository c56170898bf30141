-- The values from which a score rises to 2, 3, 4 and 5: the smallest value above ${above} whose
-- mid-rank (the average rank of the customers who share it) is past each fifth. Null where there is
-- none, unless the largest value is that of a customer without orders (`never`): then it is past all.
with tally as (
    select
        ${feature} as value,
        count(*) as customers,
        sum(case when ${never} then 1 else 0 end) as never
    from customers
    where ${feature} is not null
    group by ${feature}
),
ranked as (
    select
        value,
        customers,
        never,
        sum(customers) over (order by value rows between unbounded preceding and current row)
            as upto,
        sum(customers) over () as total
    from tally
),
doubled as (
    select
        value,
        (2 * upto - customers) * 5 as rank,
        2 * total as fifth,
        case when upto = total and never > 0 then value end as largest
    from ranked
    where value > ${above}
)
select
    coalesce(min(case when rank >= fifth then value end), max(largest)),
    coalesce(min(case when rank >= 2 * fifth then value end), max(largest)),
    coalesce(min(case when rank >= 3 * fifth then value end), max(largest)),
    coalesce(min(case when rank >= 4 * fifth then value end), max(largest))
from doubled
