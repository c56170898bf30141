-- One row per customer over all order files.
select
    customer_id,
    cast(sum(orders) as double) as orders,
    cast(sum(total) as double) as total,
    max(last_day) as last_day,
    cast(sum(lines) as bigint) as lines
from (${totals}) as every_file
group by customer_id
