-- Customers per segment, arm and variant, and whether that variant may be sent.
select
    segment,
    arm,
    variant_id,
    count(*) as customers,
    coalesce(variant_id in (${approved}), false) as approved
from assignments
group by segment, arm, variant_id
