-- The good rows of one file of orders, with the customer where the id is known. Amounts become
-- whole numbers of ten-thousandths, so that sums are exact whatever the order of the rows.
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
