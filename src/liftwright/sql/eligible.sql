-- Of the segmented customers those who may be sent something.
select s.customer_id, s.segment
from ${among} as s
left join unassigned as u on s.customer_id = u.customer_id
where u.customer_id is null
