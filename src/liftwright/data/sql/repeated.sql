-- One row per id that several valid rows share, with the first of them, and whether their spelling of
-- an e-mail address differs. Only ids with the same key can be equal, and keys are faster to group
-- than ids.
select folded(${id}) as _id, min(_row) as _first, ${respelled} as _respelled
from ${table}
where _fault is null and key(folded(${id})) in (select _key from ${keys})
group by folded(${id})
having count(*) > 1
