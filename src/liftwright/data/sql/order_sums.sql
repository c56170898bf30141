-- One row per customer over all order files. Of several spellings of an address, the largest is kept:
-- lower case sorts after upper case.
select
    who,
    max(customer_id) as customer_id,
    cast(sum(orders) as double) as orders,
    cast(sum(total) as double) as total,
    max(last_day) as last_day,
    cast(sum(lines) as bigint) as lines
from (${totals}) as every_file
group by who
