-- Per segment and arm, the sums of the amounts, each capped. Decimals add up to the same in any
-- order.
with capped as (
    select
        segment, arm, customers,
        cast(least(amount, cast(${cap} as decimal(18, 4))) as decimal(18, 4)) as spend
    from spent
)
select
    segment,
    arm,
    sum(spend * customers) as total,
    sum(cast(cast(spend as double) * cast(spend as double) as decimal(28, 4)) * customers)
        as total_sq
from capped
group by segment, arm
