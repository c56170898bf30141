-- What is known of the assigned customers from before the messages: of those of the extended run
-- what was known then, of the new ones what is known now.
select
    a.customer_id,
    case when k.customer_id is null then c.historical_open_rate else k.historical_open_rate end
        as historical_open_rate,
    case when k.customer_id is null then c.historical_click_rate else k.historical_click_rate end
        as historical_click_rate
from assignments as a
left join known_history as k on a.customer_id = k.customer_id
left join customers as c on a.customer_id = c.customer_id
