-- Customers per segment and cell; a cell is the first digits of the hash that orders customers.
select segment, substr(md5(${salt} || customer_id), 1, ${width}) as cell, count(*) as customers
from ${among}
group by segment, substr(md5(${salt} || customer_id), 1, ${width})
