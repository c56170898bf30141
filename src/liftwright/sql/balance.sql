-- Per segment and arm, of each feature the count, the sum and the sum of squares around a centre.
select a.segment, a.arm, ${sums}
from assignments as a
join customers as c on a.customer_id = c.customer_id
group by a.segment, a.arm
