-- One row per segment, feature and value, with the number of customers. Numbers are in `value`,
-- texts in `word`; both are null where the value is missing. A single pass counts all columns.
select
    segment,
    case ${name_cases} end as feature,
    case ${value_cases} end as value,
    case ${word_cases} end as word,
    count(*) as customers
from profiles
group by grouping sets (${sets})
