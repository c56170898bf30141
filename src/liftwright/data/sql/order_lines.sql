-- The valid rows of one order file, with the customer where the id is known. Amounts become
-- integers (ten-thousandths), so that sums are exact in any order.
select
    ${customer} as customer_id,
    l."date" as "day",
    cast(
        case
            when l.amount < 0e0 then - floor(5e-1 - l.amount * ${units})
            else floor(l.amount * ${units} + 5e-1)
        end as bigint
    ) as amount,
    l.order_id
from ${checked} as l ${join}
where l._fault is null
