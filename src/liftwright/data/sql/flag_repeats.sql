-- The checked rows in their order; valid rows that repeat an earlier row's id get a fault.
select
    c._row,
    ${columns},
    case
        when c._fault is null and c._row > r._first
        then case when r._respelled then ${respelled} else ${fault} end
        else c._fault
    end as _fault
from ${table} as c
left join ${repeated} as r on folded(c.${id}) = r._id
${ordered}
