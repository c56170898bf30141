-- Orders of customers who are not in the customer file.
select count(*) as ids, coalesce(sum(o.lines), 0) as lines
from ${totals} as o
left join ${customers} as c on o.who = folded(c.customer_id)
where c.customer_id is null
