-- Of the segmented customers those who may be sent something, with all that the source tells of them.
select s.*
from ${among} as s
left join unassigned as u on s.customer_id = u.customer_id
where u.customer_id is null
