-- The good customers in the order of their file.
select ${columns}
from ${checked} as c
${good}
