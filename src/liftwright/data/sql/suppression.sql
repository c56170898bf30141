-- One row: the number of listed ids, how many of them are no customer's, and how many of those would
-- be one but for case or surrounding space.
with listed as (
    select distinct folded(customer_id) as id
    from suppressed
    where trim(customer_id) <> ''
),
unmatched as (
    select l.id
    from listed as l
    left join customers as c on l.id = folded(c.customer_id)
    where c.customer_id is null
),
nearly as (
    select distinct u.id
    from unmatched as u
    inner join customers as c on lower(trim(u.id)) = lower(trim(c.customer_id))
)
select
    (select count(*) from listed) as listed,
    (select count(*) from unmatched) as unmatched,
    (select count(*) from nearly) as nearly_matched
