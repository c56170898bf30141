-- The valid customers in file order, with the features from their orders.
select ${columns}
from ${checked} as c
left join ${totals} as o on folded(c.customer_id) = o.who
where c._fault is null
order by c._row
