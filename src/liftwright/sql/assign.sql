-- One row per customer: the arm whose slice of the hashes it falls into, and that arm's variant. The
-- hash and the features of the source are carried along, which spares those who need them work.
with hashed as (
    select *, digest(${salt} || customer_id) as hash
    from ${among}
),
led as (
    select *, u32(hash, 0) as word
    from hashed
),
placed as (
    select *, ${cell} as cell
    from led
)
select
    customer_id,
    segment,
    ${arm} as arm,
    ${variant} as variant_id,
    cast(${assigned_at} as timestamp with time zone) as assigned_at,
    hash${carried}
from placed
