-- What is known of the assigned customers from before the messages: of those of the extended run
-- what was known then, of the new ones what is known now.
select a.customer_id, ${columns}
from assignments as a
left join known_history as k on a.customer_id = k.customer_id
left join customers as c on a.customer_id = c.customer_id
