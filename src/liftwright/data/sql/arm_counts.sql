-- Per segment, arm and variant: the customers, whether the variant may be sent, and each feature's
-- count, sum and sum of squares around a centre.
select
    a.segment,
    a.arm,
    a.variant_id,
    count(*) as customers,
    coalesce(a.variant_id in (${approved}), false) as approved,
    ${sums}
from ${assigned}
group by a.segment, a.arm, a.variant_id
