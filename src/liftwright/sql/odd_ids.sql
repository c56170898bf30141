-- How many ids begin or end with white space.
select count(*) as found
from ${customers}
where customer_id < '!' or regexp_matches(customer_id, '\s$$')
