-- Events per day (UTC), segment and arm, where times are known; an event counts on its own day.
-- The rows are counted by their days in one pass and the counts split afterwards: one query per
-- event would compute a simulated engagement four times.
with dated as (
    select
        segment,
        arm,
        case when delivered then utc_day(delivered_at) end as delivered_on,
        case when opened then utc_day(opened_at) end as opened_on,
        case when clicked then utc_day(clicked_at) end as clicked_on,
        case when converted then utc_day(converted_at) end as converted_on
    from ${engagement}
),
together as (
    select segment, arm, delivered_on, opened_on, clicked_on, converted_on, count(*) as events
    from dated
    group by segment, arm, delivered_on, opened_on, clicked_on, converted_on
),
happened as (
    select segment, arm, 'delivered' as event, delivered_on as happened_on, events
    from together
    union all
    select segment, arm, 'opened' as event, opened_on as happened_on, events
    from together
    union all
    select segment, arm, 'clicked' as event, clicked_on as happened_on, events
    from together
    union all
    select segment, arm, 'converted' as event, converted_on as happened_on, events
    from together
)
select
    cast(happened_on as varchar) as day, segment, arm, event,
    cast(sum(events) as bigint) as events
from happened
where happened_on is not null
group by happened_on, segment, arm, event
