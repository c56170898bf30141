-- Per segment and arm, of delivered messages: for each metric the sums and products of its outcome
-- and of its rate from before the messages, where that is known. Decimals add up to the same in any
-- order. All in one pass, as the join is what takes long.
with met as (
    select e.segment, e.arm, ${values}
    from ${engagement} as e
    inner join history as h on e.customer_id = h.customer_id
    where e.delivered
)
select segment, arm, ${sums}
from met
group by segment, arm
