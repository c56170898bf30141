-- One row per row of the file, parsed; `written_id` is the id as written or mapped, `bad` names the
-- first column whose text is not valid.
with words as (
    select _row, customer_id, arm, variant_id, ${words}
    from (select _row, ${columns} from ${file}) as named
)
select
    _row, ${written} as written_id, arm, variant_id, ${values},
    case ${bad} end as bad
from words as w ${id_map}
