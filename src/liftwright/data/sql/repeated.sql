-- One row per id that several good rows share, with the first of them. Only ids of the same key can
-- be the same, and keys are quicker to group than ids.
select ${id} as _id, min(_row) as _first
from ${table}
where _fault is null and key(${id}) in (select _key from ${keys})
group by ${id}
having count(*) > 1
