-- How many delivered messages led to which revenue, where there was any: few rows, in one pass.
select
    segment,
    arm,
    cast(revenue as decimal(18, 4)) as revenue,
    count(*) as customers
from ${engagement}
where delivered and revenue > 0e0
group by segment, arm, cast(revenue as decimal(18, 4))
