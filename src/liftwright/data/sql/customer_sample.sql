-- A sample that depends only on the seed and the ids, not on the order of the rows.
select ${features}
from customers
order by md5(${salt} || customer_id)
limit ${rows}
