-- One row per customer: the arm whose slice of the hashes it falls into, and that arm's variant.
-- Features of the source are carried along, which spares those who need them a join.
with hashed as (
    select *, md5(${salt} || customer_id) as hash
    from ${among}
),
placed as (
    select *, ${arm} as arm
    from hashed
)
select
    customer_id,
    segment,
    arm,
    ${variant} as variant_id,
    cast(${assigned_at} as timestamp with time zone) as assigned_at${carried}
from placed
