-- The keys that several rows share, valid or not; empty if all ids are unique.
select key(${id}) as _key
from ${table}
where ${id} is not null
group by key(${id})
having count(*) > 1
