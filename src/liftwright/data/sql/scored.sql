<<<<<<< HEAD
-- The customer columns that segmentation reads or carries along, and the scores.
=======
-- The customer columns that the segment rules use, and the scores.
>>>>>>> a62057c (refactor: use standard names and plain English in segmentation)
select ${columns}, ${scores}
from customers
