-- One row per id that several good rows share, with the first of them.
select ${id} as _id, min(_row) as _first
from ${table}
where _fault is null
group by ${id}
having count(*) > 1
