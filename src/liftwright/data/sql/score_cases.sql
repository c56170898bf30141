-- One row per way to score, and its place among them.
select ${names}
from (values ${cases}) as t(${names})
