-- Customers per segment and cell; a cell is the first bits of the hash that orders customers.
select segment, u32(digest(${salt} || customer_id), 0) // ${step} as cell, count(*) as customers
from ${among}
group by segment, u32(digest(${salt} || customer_id), 0) // ${step}
