-- Customers per segment and cell; a cell is the first bits of the hash that orders customers.
select segment, word_0 // ${step} as cell, count(*) as customers
from hashed
group by segment, word_0 // ${step}
