-- One row per customer who is sent nothing, and why: the first reason that holds.
with judged as (
    select customer_id as id, case ${reasons} end as held
    from customers
)
select s.customer_id, s.segment, j.held as reason
from segmented as s
inner join judged as j on s.customer_id = j.id
where j.held is not null
