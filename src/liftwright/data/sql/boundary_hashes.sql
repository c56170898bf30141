-- The hashes in the buckets where one arm ends and the next begins; about as many as a bucket has.
select segment, md5(${salt} || customer_id) as hash
from hashed
where word_0 // ${step} in (${cells})
