-- Per segment, arm and variant: customers, whether that variant may be sent, and of each feature
-- the count, the sum and the sum of squares around a centre.
select
    a.segment,
    a.arm,
    a.variant_id,
    count(*) as customers,
    coalesce(a.variant_id in (${approved}), false) as approved,
    ${sums}
from ${assigned}
group by a.segment, a.arm, a.variant_id
