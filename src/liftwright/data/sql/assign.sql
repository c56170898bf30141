-- One row per customer: the arm whose slice of the hashes it falls into, and that arm's variant. The
-- words of the hash and the features are carried along, which spares those who need them work.
with placed as (
    select *, ${cell} as cell
    from hashed
)
select
    customer_id,
    segment,
    ${arm} as arm,
    ${variant} as variant_id,
    cast(${assigned_at} as timestamp with time zone) as assigned_at,
    word_1,
    word_2,
    word_3${carried}
from placed
