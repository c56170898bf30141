-- One row per customer: the unchanged assignments of the extended run, then the new customers.
select customer_id, segment, arm, variant_id, assigned_at
from ${known}
union all
select customer_id, segment, arm, variant_id, assigned_at
from newly_assigned
