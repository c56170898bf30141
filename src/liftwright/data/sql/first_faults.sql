-- The first bad rows of a file.
select _row, _fault
from ${table}
where _fault is not null
order by _row
limit ${rows}
