-- The keys that several rows share, valid or not; empty if all ids are unique.
select key(folded(${id})) as _key
from ${table}
where ${id} is not null
group by key(folded(${id}))
having count(*) > 1
