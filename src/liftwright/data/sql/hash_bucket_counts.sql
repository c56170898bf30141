-- Customers per segment and hash bucket; a bucket is the leading bits of the hash that orders
-- customers.
select segment, word_0 // ${step} as cell, count(*) as customers
from hashed
group by segment, word_0 // ${step}
