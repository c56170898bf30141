-- One row per customer who receives no message: those of the extended run, then the new ones.
select customer_id, segment, reason
from known_unassigned
union all
select customer_id, segment, reason
from unassigned
