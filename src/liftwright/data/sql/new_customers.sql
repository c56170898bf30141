-- One row per customer whom the extended run neither assigned nor excluded.
select s.customer_id, s.segment, s.confidence, s.reason
from segmented as s
left join known_assignments as a on folded(s.customer_id) = folded(a.customer_id)
left join known_unassigned as u on folded(s.customer_id) = folded(u.customer_id)
where a.customer_id is null and u.customer_id is null
