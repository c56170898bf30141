-- The hashes in the cells where one arm ends and the next begins; about as many as there are cells.
select segment, md5(${salt} || customer_id) as hash
from hashed
where word_0 // ${step} in (${cells})
