-- What is known of the assigned customers from before the messages, for variance reduction.
select a.customer_id, ${columns}
from ${assigned}
