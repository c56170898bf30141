-- One row per customer: the arm whose slice of the hashes it falls into, and that arm's variant.
with hashed as (
    select customer_id, segment, md5(${salt} || customer_id) as hash
    from ${among}
),
placed as (
    select customer_id, segment, ${arm} as arm
    from hashed
)
select
    customer_id,
    segment,
    arm,
    ${variant} as variant_id,
    cast(${assigned_at} as timestamp with time zone) as assigned_at
from placed
