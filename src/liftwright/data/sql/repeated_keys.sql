-- The keys that several rows share, good or bad: none, where every id stands once.
select key(${id}) as _key
from ${table}
where ${id} is not null
group by key(${id})
having count(*) > 1
