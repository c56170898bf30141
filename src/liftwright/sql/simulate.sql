-- One row per assigned customer: what a recipient with this history might have done.
--
-- All chance is in words of md5(salt || customer_id), so a customer draws the same numbers in
-- every arm: an uplift of 0 gives exactly what the control would have given. Word k decides by
-- `word < floor(p * 2^32)`.
with drawn as (
    select
        a.customer_id, a.segment, a.arm, a.variant_id, a.assigned_at,
        coalesce(${customer}.historical_open_rate, ${open_rate}) as open_rate,
        coalesce(${customer}.historical_click_rate, ${click_rate}) as click_rate,
        coalesce(${customer}.avg_order_value, 0e0) as order_value,
        digest(${outcome_salt} || a.customer_id) as chance,
        digest(${uplift_salt} || a.customer_id) as response,
        digest(${time_salt} || a.customer_id) as pace
    from ${assigned}
),
-- How the customer responds to being treated: eight independent 16-bit uniforms, their sum less
-- its mean (262140) over its standard deviation, are normal to within 0.01 in distribution.
responding as (
    select
        *,
        cast(
            u32(response, 0) // 65536 + u32(response, 0) % 65536
            + u32(response, 1) // 65536 + u32(response, 1) % 65536
            + u32(response, 2) // 65536 + u32(response, 2) % 65536
            + u32(response, 3) // 65536 + u32(response, 3) % 65536
            - 262140 as double
        ) / 5.350992e4 as z
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
-- A click mostly implies an open. The few clicks without one never exceed those who do not open,
-- and the two kinds always sum to the click rate.
split as (
    select *, p_click - least(p_click * ${unopened_share}, 1e0 - p_open) as p_click_opened
    from rated
),
delivering as (
    select
        *,
        least(p_click_opened, p_open) as p_both,
        u32(chance, 0) < floor(${delivery_rate} * 4294967296e0) as delivered
    from split
),
opening as (
    select
        *,
        delivered and u32(chance, 1) < floor(p_open * 4294967296e0) as opened
    from delivering
),
clicking as (
    select
        *,
        delivered and coalesce(
            u32(chance, 2) < floor(
                case
                    when opened then p_both / nullif(p_open, 0e0)
                    else (p_click - p_both) / nullif(1e0 - p_open, 0e0)
                end * 4294967296e0
            ),
            false
        ) as clicked
    from opening
),
-- What few customers come to is computed for them alone: a `case` spares the others the work.
converting as (
    select
        *,
        case
            when clicked then u32(chance, 3) < floor(${conversion_rate} * 4294967296e0)
            else false
        end as converted
    from clicking
),
-- Seconds after the step before. Squares make short waits frequent and long ones rare; none is as
-- short as a machine's.
paced as (
    select
        *,
        case when converted then digest(${order_salt} || customer_id) end as basket,
        case when delivered then 1 + u32(pace, 0) % 3600 end as delivery_seconds,
        case
            when opened or clicked then 15 + cast(
                floor(u32(pace, 1) / 4294967296e0 * (u32(pace, 1) / 4294967296e0) * 259200e0)
                as bigint
            )
        end as open_seconds,
        case when clicked then 15 + u32(pace, 2) % 900 end as click_seconds,
        case when converted then 1 + u32(pace, 3) % 86400 end as convert_seconds
    from converting
)
select
    customer_id, segment, arm, variant_id, delivered, opened, clicked, converted,
    -- Three independent factors of mean 1 multiply to a skewed one, like baskets are, of mean 1.
    case
        when converted then floor(
            order_value * 1e2
            * (5e-1 + u32(basket, 0) / 4294967296e0)
            * (5e-1 + u32(basket, 1) / 4294967296e0)
            * (5e-1 + u32(basket, 2) / 4294967296e0) + 5e-1
        ) / 1e2
        else 0e0
    end as revenue,
    'simulated' as source,
    assigned_at + delivery_seconds * interval 1 second as delivered_at,
    case when opened then assigned_at + (delivery_seconds + open_seconds) * interval 1 second end
        as opened_at,
    case
        when clicked then assigned_at
            + (delivery_seconds + open_seconds + click_seconds) * interval 1 second
    end as clicked_at,
    case
        when converted then assigned_at
            + (delivery_seconds + open_seconds + click_seconds + convert_seconds)
            * interval 1 second
    end as converted_at
from paced
