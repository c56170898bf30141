-- One row per customer: the arm of the hash range that contains it, and that arm's variant. The
-- hash words and the features are carried along, so that later statements need not compute them
-- again.
with bucketed as (
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
from bucketed
