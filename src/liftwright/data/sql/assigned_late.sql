-- One row per customer: those of the extended run as they were, then the new ones.
select customer_id, segment, arm, variant_id, assigned_at
from ${known}
union all
select customer_id, segment, arm, variant_id, assigned_at
from newly_assigned
