-- One row per customer who receives no message, and the first reason that applies.
with judged as (
    select customer_id as id, ${held} as held
    from customers
),
reasoned as (
    select
        s.customer_id,
        s.segment,
        coalesce(j.held, case when ${without} then 'no message for the segment' end) as reason
    from ${among} as s
    inner join judged as j on s.customer_id = j.id
)
select customer_id, segment, reason
from reasoned
where reason is not null
