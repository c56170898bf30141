-- Per segment what the control is expected to come to: sums over customers of the expected outcomes.
select a.segment, count(*) as customers, ${sums}
from ${assigned}
group by a.segment
