-- One row per combination of scores, and its index.
select ${names}
from (values ${cases}) as t(${names})
