-- One row per segment and value that a column takes there: its customers. Numbers stand in `value`,
-- texts in `word`; both are null where the customers lack it. One pass counts all columns.
select
    segment,
    case ${name_cases} end as feature,
    case ${value_cases} end as value,
    case ${word_cases} end as word,
    count(*) as customers
from profiles
group by grouping sets (${sets})
