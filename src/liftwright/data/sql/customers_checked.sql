-- The valid customers in file order.
select ${columns}
from ${checked} as c
${good}
