-- One row per id that several valid rows share, with the first of them. Only ids with the same key
-- can be equal, and keys are faster to group than ids.
select ${id} as _id, min(_row) as _first
from ${table}
where _fault is null and key(${id}) in (select _key from ${keys})
group by ${id}
having count(*) > 1
