-- One row per customer of one order file: the number of orders, their total net of returns
-- (negative amounts), the day of the last order.
select
    who,
    max(customer_id) as customer_id,
    ${orders} as orders,
    sum(amount) as total,
    max("day") filter (where amount >= 0) as last_day,
    count(*) as lines
from ${lines}
where customer_id is not null and "day" <= ${as_of}
group by who
