-- Per segment and feature: the number of customers, how many have a value, and their sum and sum of
-- squares around a fixed centre, which avoids cancellation in the variance.
with centred as (
    select
        segment,
        feature,
        customers,
        cast(customers as double) as weight,
        value - case feature ${centres} end as value
    from value_counts
    where word is null
)
select
    segment,
    feature,
    sum(customers) as customers,
    coalesce(sum(customers) filter (where value is not null), 0) as known,
    coalesce(sum(weight * value), 0e0) as total,
    coalesce(sum(weight * value * value), 0e0) as square
from centred
group by segment, feature
