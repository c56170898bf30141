-- The hashes in the cells where one arm ends and the next begins; about as many as there are cells.
select segment, md5(${salt} || customer_id) as hash
from ${among}
where substr(md5(${salt} || customer_id), 1, ${width}) in (${cells})
