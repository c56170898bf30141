-- The assigned customers' features from before the messages: as recorded by the extended run for
-- its customers, current for the new ones.
select a.customer_id, ${columns}
from assignments as a
left join known_history as k on a.customer_id = k.customer_id
left join customers as c on a.customer_id = c.customer_id
