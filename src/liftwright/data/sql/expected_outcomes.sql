-- Per segment, the expected outcomes under control, summed over customers.
select a.segment, count(*) as customers, ${sums}
from ${assigned}
group by a.segment
