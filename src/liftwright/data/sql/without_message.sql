-- One row per customer who receives no message; used where a missing message is the only reason.
select s.customer_id, s.segment, 'no message for the segment' as reason
from ${among} as s
where ${without}
