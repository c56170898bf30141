-- One row per id that ordered: customers who are known by their orders alone.
select ${columns}
from ${totals} as o
where o.orders > 0
order by o.customer_id
