-- One row per assigned customer. A customer's rows are combined: any flag, the sum of amounts, the
-- first time; bot opens and clicks do not count. Customers who are not in the file count as not
-- delivered; those whose every row is set aside are left out. The file's optional outcomes follow the
-- other columns.
with combined as (
    select
        customer_id,
        max(case when coalesce(delivered, not bounced, true) then 1 else 0 end) = 1 as delivered,
        max(case when opened and not bot_open then 1 else 0 end) = 1 as opened,
        max(case when clicked and not bot_click then 1 else 0 end) = 1 as clicked,
        max(case when converted then 1 else 0 end) = 1 as converted,
        greatest(sum(coalesce(revenue, 0e0)), 0e0) as revenue,
        min(delivered_at) as delivered_at,
        min(case when not bot_open then opened_at end) as opened_at,
        min(case when not bot_click then clicked_at end) as clicked_at,
        min(converted_at) as converted_at
        ${combined}
    from engagement_bots
    group by customer_id
)
select
    a.customer_id, a.segment, a.arm, a.variant_id,
    coalesce(c.delivered, false) as delivered,
    coalesce(c.opened, false) as opened,
    coalesce(c.clicked, false) as clicked,
    coalesce(c.converted, false) as converted,
    coalesce(c.revenue, 0e0) as revenue,
    'historical' as source,
    c.delivered_at, c.opened_at, c.clicked_at, c.converted_at
    ${optional}
from ${assignments} as a
left join combined as c on a.customer_id = c.customer_id
where ${unknown}
