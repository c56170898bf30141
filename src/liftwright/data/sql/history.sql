-- The assigned customers' features from before the messages, for variance reduction.
select a.customer_id, ${columns}
from ${assigned}
