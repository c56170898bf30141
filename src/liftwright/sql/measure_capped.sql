-- Per segment and arm the sums of revenue, no customer's above the cap. Decimals add up to the same
-- in any order.
select
    segment,
    arm,
    sum(cast(least(revenue, cast(${cap} as decimal(18, 4))) as decimal(18, 4)) * customers) as revenue,
    sum(
        cast(
            cast(least(revenue, cast(${cap} as decimal(18, 4))) as double)
            * cast(least(revenue, cast(${cap} as decimal(18, 4))) as double) as decimal(28, 4)
        ) * customers
    ) as revenue_sq
from spent
group by segment, arm
