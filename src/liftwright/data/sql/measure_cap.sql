-- The 99th percentile of the positive amounts, over all arms together.
with amounts as (
    select amount, sum(customers) as customers from spent group by amount
),
ranked as (
    select
        amount,
        sum(customers) over (order by amount) as passed,
        sum(customers) over () as everyone
    from amounts
)
select min(amount) as cap from ranked where passed >= 99e-2 * everyone
