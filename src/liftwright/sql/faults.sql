-- One row per kind of fault (null: none): how many rows have it as their first.
select _fault, count(*) as found
from ${table}
group by _fault
