-- A sample that depends on the seed and the ids alone, not on the order of the rows.
select ${features}
from customers
order by md5(${salt} || customer_id)
limit ${rows}
