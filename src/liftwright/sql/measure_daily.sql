-- Events per day (UTC) and arm, where times are known; an event counts on its own day.
with happened as (
    select arm, 'delivered' as event, delivered_at as happened_at from ${engagement} where delivered
    union all
    select arm, 'opened' as event, opened_at as happened_at from ${engagement} where opened
    union all
    select arm, 'clicked' as event, clicked_at as happened_at from ${engagement} where clicked
    union all
    select arm, 'converted' as event, converted_at as happened_at from ${engagement} where converted
)
select cast(cast(happened_at at time zone 'UTC' as date) as varchar) as day, arm, event, count(*) as events
from happened
where happened_at is not null
group by cast(cast(happened_at at time zone 'UTC' as date) as varchar), arm, event
