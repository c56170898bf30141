-- The customers' columns that placing looks at or carries along, and their scores.
select ${columns}, ${scores}
from customers
