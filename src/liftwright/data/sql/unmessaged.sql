-- One row per customer who is sent nothing, where nothing but a message can be lacking.
select s.customer_id, s.segment, 'no message for the segment' as reason
from ${among} as s
where ${without}
