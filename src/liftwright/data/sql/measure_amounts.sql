-- Delivered messages by amount, where there was one: a few rows, in one pass.
select
    segment,
    arm,
    cast(${amount} as decimal(18, 4)) as amount,
    count(*) as customers
from ${engagement}
where delivered and ${amount} > 0e0
group by segment, arm, cast(${amount} as decimal(18, 4))
