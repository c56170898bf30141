-- One row per customer to assign: the segment's number, the hash words, the features.
with digested as (
    select *, digest(${salt} || customer_id) as hash
    from ${among}
)
select
    customer_id,
    ${segment} as segment_number,
    cast(u32(hash, 0) as uinteger) as word_0,
    cast(u32(hash, 1) as uinteger) as word_1,
    cast(u32(hash, 2) as uinteger) as word_2,
    cast(u32(hash, 3) as uinteger) as word_3${carried}
from digested
