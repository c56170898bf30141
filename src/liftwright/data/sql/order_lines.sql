-- The valid rows of one order file, with the customer where the id is known; `who` is the id without
-- differences in the spelling of an address. Amounts become integers (ten-thousandths), so that sums
-- are exact in any order.
with lines as (
    select ${customer} as customer_id, l."date" as "day", ${amount} as amount, l.order_id
    from ${checked} as l ${join}
    where l._fault is null
)
select
    customer_id,
    folded(customer_id) as who,
    "day",
    cast(
        case
            when amount < 0e0 then - floor(5e-1 - amount * ${units})
            else floor(amount * ${units} + 5e-1)
        end as bigint
    ) as amount,
    order_id
from lines
