-- One row per value: how many rows hold it, and how many hold it or less.
select value, n, sum(n) over (order by value rows unbounded preceding) as upto
from (
    select ${value} as value, count(*) as n
    from ${table}
    where ${value} is not null
    group by 1
) as counted
