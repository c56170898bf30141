-- What is known of the assigned customers from before the messages, for variance reduction.
select a.customer_id, c.historical_open_rate, c.historical_click_rate
from assignments as a
inner join customers as c on a.customer_id = c.customer_id
