-- The rows of an order file in which several lines make one order. A blank order field is that of the
-- order's first line. `_continued`: a line without an amount, because the first line has the total.
with numbered as (
    select *, min(_row) over (partition by ${order_id}) as _first
    from ${source}
),
identified as (
    select
        *,
        case
            when ${id_blank} then max(case when _row = _first then ${id} end)
                over (partition by ${order_id})
            else ${id}
        end as _id
    from numbered
),
keyed as (
    select *, folded(cast(_id as varchar)) as _who
    from identified
),
started as (
    select
        *,
        min(_row) over (partition by ${order_id}, _who) as _start,
        sum(case when not ${amount_blank} and not coalesce(${amount} < 0e0, false) then 1 else 0 end)
            over (partition by ${order_id}, _who) as _totals
    from keyed
)
select
    _row,
    ${columns},
    ${amount_blank} and _row > _start and _totals = 1 as _continued
from started
