-- One row per bad row of a file: its position and the reason.
select ${file} as "file", _row as "row", ${column} as "column", ${reason} as reason
from ${table}
where _fault is not null
order by _row
