-- Per segment and arm: assigned and delivered, and the sums over the delivered that metrics need.
select
    segment,
    arm,
    count(*) as assigned,
    sum(case when delivered then 1 else 0 end) as delivered,
    ${sums}
from ${engagement}
group by segment, arm
