-- Per segment and arm: assigned, delivered, and over the delivered the sums that metrics need.
select
    segment,
    arm,
    count(*) as assigned,
    sum(case when delivered then 1 else 0 end) as delivered,
    ${sums}
from ${engagement}
group by segment, arm
