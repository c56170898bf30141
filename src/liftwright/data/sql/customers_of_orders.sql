-- One row per id with orders, where there is no customer file.
select ${columns}
from ${totals} as o
where o.orders > 0
order by o.customer_id
