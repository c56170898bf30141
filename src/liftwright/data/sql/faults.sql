-- One row per fault (null: none): the rows that have it as their first fault, and how many of them
-- have an id that begins or ends with white space.
select _fault, count(*) as found, sum(case when ${odd} then 1 else 0 end) as odd
from ${table}
group by _fault
