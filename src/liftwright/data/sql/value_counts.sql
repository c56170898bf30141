<<<<<<< HEAD:src/liftwright/data/sql/tallies.sql
-- One row per segment and value of a column: its customers. Numbers are in `value`, texts in
-- `word`; both are null where customers have no value. One pass counts all columns.
=======
-- One row per segment, feature and value, with the number of customers. Numbers are in `value`,
-- texts in `word`; both are null where the value is missing. A single pass counts all columns.
>>>>>>> a62057c (refactor: use standard names and plain English in segmentation):src/liftwright/data/sql/value_counts.sql
select
    segment,
    case ${name_cases} end as feature,
    case ${value_cases} end as value,
    case ${word_cases} end as word,
    count(*) as customers
from profiles
group by grouping sets (${sets})
