-- Each used row, and whether its open or click came from a bot: within seconds of the customer's
-- first delivery, or many clicks at the same moment. `early`: an event before the assignment.
with timed as (
    select
        r.*,
        min(r.delivered_at) over (partition by r.customer_id) as first_delivered_at,
        sum(case when r.clicked and r.clicked_at is not null then 1 else 0 end)
            over (partition by r.customer_id, r.clicked_at) as clicks_at_once
    from engagement_judged as r
    where r.reason is null
)
select
    *,
    coalesce(
        opened and opened_at >= first_delivered_at
        and opened_at <= first_delivered_at + ${seconds} * interval 1 second,
        false
    ) as bot_open,
    coalesce(
        clicked and (
            clicks_at_once >= ${burst}
            or (
                clicked_at >= first_delivered_at
                and clicked_at <= first_delivered_at + ${seconds} * interval 1 second
            )
        ),
        false
    ) as bot_click,
    coalesce(delivered_at < assigned_at, false) or coalesce(opened_at < assigned_at, false)
        or coalesce(clicked_at < assigned_at, false)
        or coalesce(converted_at < assigned_at, false) as early
from timed
