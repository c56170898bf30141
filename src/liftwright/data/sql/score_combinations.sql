-- One row per combination of scores, numbered in `position`.
select ${names}
from (values ${cases}) as t(${names})
