-- One row per assigned customer: simulated behaviour of a recipient with this history.
--
-- The customer's hash is the only source of randomness: word 0 gave the arm, and words 1 to 3 are
-- used here. A customer therefore draws the same numbers in every arm, and an uplift of 0 gives
-- exactly the control's outcome. Each word becomes (word * step + start) mod 4294967291, a prime,
-- with step and start from the seed, so that seeds are nearly independent (after Carter and Wegman
-- 1979, Universal classes of hash functions). A number is below floor(p * 2^32) with probability p;
-- its last digits are nearly independent of that, and give the times and the response.
with hashed as (
    select
        a.customer_id, a.segment, a.arm, a.variant_id, a.assigned_at,
        coalesce(${customer}.historical_open_rate, ${default_open_rate}) as open_rate,
        coalesce(${customer}.historical_click_rate, ${default_click_rate}) as click_rate,
        coalesce(${customer}.avg_order_value, 0e0) as order_value,
        ${word_1} as word_1, ${word_2} as word_2, ${word_3} as word_3
    from ${assigned}
),
drawn as (
    select
        *,
        (word_1 * ${opening_step} + ${opening_start}) % 4294967291 as opening,
        (word_2 * ${clicking_step} + ${clicking_start}) % 4294967291 as clicking,
        (word_3 * ${delivery_step} + ${delivery_start}) % 4294967291 as delivery
    from hashed
),
-- The customer's response to treatment: the standardised sum of four independent bytes (mean 510)
-- is normal to within 0.01 in distribution.
responding as (
    select
        *,
        cast(
            delivery % 256 + (delivery // 256) % 256 + (delivery // 65536) % 256
            + clicking % 256 - 510 as double
        ) / ${response_sd} as z
    from drawn
),
uplifted as (
    select *, greatest(0e0, 1e0 + ${uplift}) as factor
    from responding
),
rated as (
    select
        *,
        least(1e0, open_rate * factor) as p_open,
        least(1e0, click_rate * factor) as p_click
    from uplifted
),
-- A click mostly implies an open. Clicks without an open never exceed the recipients who do not
-- open, and both kinds sum to the click rate.
split as (
    select *, p_click - least(p_click * ${click_without_open_share}, 1e0 - p_open) as p_click_opened
    from rated
),
delivered_or_not as (
    select
        *,
        least(p_click_opened, p_open) as p_both,
        delivery < floor(${delivery_rate} * 4294967296e0) as delivered
    from split
),
opened_or_not as (
    select
        *,
        delivered and opening < floor(p_open * 4294967296e0) as opened
    from delivered_or_not
),
clicked_or_not as (
    select
        *,
        delivered and coalesce(
            clicking < floor(
                case
                    when opened then p_both / nullif(p_open, 0e0)
                    else (p_click - p_both) / nullif(1e0 - p_open, 0e0)
                end * 4294967296e0
            ),
            false
        ) as clicked
    from opened_or_not
),
-- Rare outcomes are computed only for the customers who have them, inside a `case`.
ordering as (
    select *, case when clicked then digest(${order_salt} || customer_id) end as basket
    from clicked_or_not
),
converting as (
    select
        *,
        case
            when clicked then u32(basket, 0) < floor(${conversion_rate_of_clicks} * 4294967296e0)
            else false
        end as converted
    from ordering
),
-- Seconds after the previous event. Squaring makes short waits frequent and long ones rare; none is
-- as short as a bot's.
paced as (
    select
        *,
        case when delivered then 1 + (clicking // 256) % 3600 end as delivery_seconds,
        case
            when opened or clicked then 15 + cast(
                floor(
                    ((opening % 65536) / 65536e0) * ((opening % 65536) / 65536e0) * 259200e0
                ) as bigint
            )
        end as open_seconds,
        case when clicked then 15 + u32(basket, 1) % 900 end as click_seconds,
        case when converted then 1 + u32(basket, 0) % 86400 end as convert_seconds
    from converting
)
select
    customer_id, segment, arm, variant_id, delivered, opened, clicked, converted,
    -- The product of three independent factors of mean 1 has mean 1 and is skewed, like baskets.
    case
        when converted then floor(
            order_value * 1e2
            * (5e-1 + u32(basket, 1) / 4294967296e0)
            * (5e-1 + u32(basket, 2) / 4294967296e0)
            * (5e-1 + u32(basket, 3) / 4294967296e0) + 5e-1
        ) / 1e2
        else 0e0
    end as revenue,
    ${source} as source,
    later(assigned_at, delivery_seconds) as delivered_at,
    case when opened then later(assigned_at, delivery_seconds + open_seconds) end as opened_at,
    case when clicked then later(assigned_at, delivery_seconds + open_seconds + click_seconds) end
        as clicked_at,
    case
        when converted then later(
            assigned_at, delivery_seconds + open_seconds + click_seconds + convert_seconds
        )
    end as converted_at
from paced
