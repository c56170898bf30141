-- The customer columns that segmentation reads or carries along, and the scores.
select ${columns}, ${scores}
from customers
