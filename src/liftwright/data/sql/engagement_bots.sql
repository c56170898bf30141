-- Each row that counts, and whether a bot made its open or its click: within seconds of the
-- customer's first delivery, or one of many clicks within two seconds, of one recipient or of the
-- recipients of one company's domain. `early`: before the assignment. `premature_open` and
-- `premature_click`: before the customer's first delivery.
with timed as (
    select
        r.*,
        min(r.delivered_at) over (partition by r.customer_id) as first_delivered_at,
        case when r.clicked and r.clicked_at is not null then 1 else 0 end as timed_click,
        ${domain} as domain
    from engagement_judged as r
    where r.reason is null
),
-- The earliest and the number of the last so many clicks up to each one.
counted as (
    select
        *,
        min(clicked_at) over (
            partition by customer_id, timed_click order by clicked_at, _row
            rows between ${burst_before} preceding and current row
        ) as recipient_since,
        count(*) over (
            partition by customer_id, timed_click order by clicked_at, _row
            rows between ${burst_before} preceding and current row
        ) as recipient_clicks,
        min(clicked_at) over (
            partition by domain, timed_click order by clicked_at, _row
            rows between ${domain_before} preceding and current row
        ) as domain_since,
        count(*) over (
            partition by domain, timed_click order by clicked_at, _row
            rows between ${domain_before} preceding and current row
        ) as domain_clicks
    from timed
),
-- Clicks that complete a burst; the clicks before them belong to it too.
completed as (
    select
        *,
        case
            when timed_click = 1 and recipient_clicks > ${burst_before}
                and clicked_at <= recipient_since + 2 * interval 1 second
            then 1 else 0
        end as recipient_burst,
        case
            when timed_click = 1 and domain is not null and domain_clicks > ${domain_before}
                and clicked_at <= domain_since + 2 * interval 1 second
            then 1 else 0
        end as domain_burst
    from counted
),
bursts as (
    select
        *,
        max(recipient_burst) over (
            partition by customer_id, timed_click order by clicked_at, _row
            rows between current row and ${burst_before} following
        ) = 1 as in_recipient_burst,
        max(domain_burst) over (
            partition by domain, timed_click order by clicked_at, _row
            rows between current row and ${domain_before} following
        ) = 1 as in_domain_burst
    from completed
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
            (timed_click = 1 and (in_recipient_burst or in_domain_burst))
            or (
                clicked_at >= first_delivered_at
                and clicked_at <= first_delivered_at + ${seconds} * interval 1 second
            )
        ),
        false
    ) as bot_click,
    coalesce(opened and opened_at < first_delivered_at, false) as premature_open,
    coalesce(clicked and clicked_at < first_delivered_at, false) as premature_click,
    coalesce(delivered_at < assigned_at, false) or coalesce(opened_at < assigned_at, false)
        or coalesce(clicked_at < assigned_at, false)
        or coalesce(converted_at < assigned_at, false) as early
from bursts
