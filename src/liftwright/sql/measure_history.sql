-- Per segment and arm, of delivered messages: sums and products of an outcome `y` and of a rate `x`
-- from before the messages, where that is known. Decimals add up to the same in any order.
with met as (
    select
        e.segment,
        e.arm,
        cast(${y} as decimal(18, 4)) as y,
        cast(h.${x} as decimal(9, 6)) as x
    from ${engagement} as e
    inner join history as h on e.customer_id = h.customer_id
    where e.delivered and h.${x} is not null
)
select
    segment,
    arm,
    count(*) as n,
    sum(x) as x,
    sum(cast(x * x as decimal(18, 9))) as xx,
    sum(y) as y,
    sum(cast(y * y as decimal(28, 4))) as yy,
    sum(cast(x * y as decimal(28, 8))) as xy
from met
group by segment, arm
