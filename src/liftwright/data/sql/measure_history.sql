-- Per segment and arm, over delivered messages: for each metric, the sums and products of its
-- outcome and its historical rate, where that is known. Decimals add up to the same in any order.
-- All metrics in one pass, as the join is the slow part.
with met as (
    select e.segment, e.arm, ${values}
    from ${engagement} as e
    inner join history as h on e.customer_id = h.customer_id
    where e.delivered
)
select segment, arm, ${sums}
from met
group by segment, arm
