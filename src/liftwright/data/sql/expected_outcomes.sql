-- Per segment what the control is expected to come to: sums over customers of their own rates, and
-- of their clicks' value and its square. A customer without a history has the default rates.
with known as (
    select
        a.segment,
        coalesce(${customer}.historical_open_rate, ${open_rate}) as open_rate,
        coalesce(${customer}.historical_click_rate, ${click_rate}) as click_rate,
        coalesce(${customer}.avg_order_value, 0e0) as order_value
    from ${assigned}
)
select
    segment,
    count(*) as customers,
    sum(open_rate) as opened,
    sum(click_rate) as clicked,
    sum(click_rate * order_value) as clicked_value,
    sum(click_rate * order_value * order_value) as clicked_value_sq
from known
group by segment
