-- Per segment: customers, and of each feature the count, the sum and the sum of squares around a
-- fixed centre, which keeps the variance from cancelling.
select segment, count(*) as customers, sum(confidence) as confidence, ${sums}
from profiles
group by segment
