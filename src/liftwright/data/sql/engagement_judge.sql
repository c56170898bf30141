-- Each row, and why it is set aside (null: it is used). The first reason that applies wins. Ids are
-- in the spelling of the assignment.
select
    r.*,
    coalesce(a.customer_id, r.written_id) as customer_id,
    a.assigned_at,
    case
        when r.written_id is null or trim(r.written_id) = '' then 'no customer_id'
        when a.customer_id is null then 'unknown customer_id'
        when r.bad is not null then 'unreadable ' || r.bad
        when r.arm is not null and r.arm <> a.arm then 'another arm than assigned'
        when r.variant_id is not null and r.variant_id <> a.variant_id
            then 'another variant than assigned'
        when r.delivered and r.bounced then 'bounced though delivered'
        when not coalesce(r.delivered, not r.bounced, true) and (${outcome})
            then 'an outcome though not delivered'
    end as reason
from engagement_read as r
left join ${assignments} as a on folded(r.written_id) = folded(a.customer_id)
