-- The customer columns that the segment rules use, and the scores.
select ${columns}, ${scores}
from customers
