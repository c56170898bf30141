-- The 99th percentile of the revenues that there were, over all arms together.
with amounts as (
    select revenue, sum(customers) as customers from spent group by revenue
),
ranked as (
    select
        revenue,
        sum(customers) over (order by revenue) as passed,
        sum(customers) over () as everyone
    from amounts
)
select min(revenue) as cap from ranked where passed >= 99e-2 * everyone
