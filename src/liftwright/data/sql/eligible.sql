-- The segmented customers who can receive a message, with all columns of the source.
select s.*
from ${among} as s
left join unassigned as u on s.customer_id = u.customer_id
where u.customer_id is null
