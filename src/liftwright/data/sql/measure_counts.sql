-- Per segment and arm: assigned, delivered, and among the delivered the events and the sums of
-- revenue. Decimals add up to the same in any order.
select
    segment,
    arm,
    count(*) as assigned,
    sum(case when delivered then 1 else 0 end) as delivered,
    sum(case when delivered and opened then 1 else 0 end) as opened,
    sum(case when delivered and clicked then 1 else 0 end) as clicked,
    sum(case when delivered and converted then 1 else 0 end) as converted,
    sum(case when delivered and opened and clicked then 1 else 0 end) as clicked_opened,
    sum(case when delivered then cast(revenue as decimal(18, 4)) else 0 end) as revenue,
    sum(case when delivered then cast(revenue * revenue as decimal(28, 4)) else 0 end)
        as revenue_sq
from ${engagement}
group by segment, arm
