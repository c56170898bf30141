-- One row per customer, known or new; known customers keep the segment of the extended run.
select customer_id, segment, confidence, reason
from known_segmented
union all
select n.customer_id, n.segment, n.confidence, n.reason
from newly_segmented as n
left join known_segmented as k on folded(n.customer_id) = folded(k.customer_id)
where k.customer_id is null
