-- What is known of the assigned customers from before the messages, for variance reduction.
select a.customer_id, ${customer}.historical_open_rate, ${customer}.historical_click_rate
from ${assigned}
