-- How many units have each value, per segment and arm, in at most ${most} rows of each: the largest
-- values one by one, the others as the mean of neighbouring values once there are too many.
with ranked as (
    select
        segment,
        arm,
        v,
        units,
        row_number() over (partition by segment, arm order by v desc) as place,
        count(*) over (partition by segment, arm) as found
    from (${counted}) as counted
),
binned as (
    select
        segment,
        arm,
        v,
        units,
        case
            when found <= ${most} or place <= ${half} then place
            else ${half} + 1 + floor((place - ${half} - 1) * 1e0 * ${half} / (found - ${half}))
        end as bin
    from ranked
)
select segment, arm, sum(v * units) / sum(units) as v, sum(units) as units
from binned
group by segment, arm, bin
order by segment, arm, v
