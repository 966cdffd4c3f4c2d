-- A row for each customer: contacts that are neither suppliers nor staff, and all that sales orders reference.
with sales as (
    select
        contact_id,
        count(*) filter (not is_credit) as sales,
        count(*) filter (is_credit) as credits,
        min(placed_on) as first_order_on,
        max(placed_on) as last_order_on,
        sum(base_net) as base_net
    from {{ ref('stg_orders') }}
    where is_sale and invoice_date is not null and contact_id is not null
    group by contact_id
)

select
    coalesce(c.contact_id, s.contact_id) as contact_id,
    c.contact_name as customer,
    c.email,
    c.created_on,
    coalesce(s.sales, 0) as sales,
    coalesce(s.credits, 0) as credits,
    s.first_order_on,
    s.last_order_on,
    b.currency_code as base_currency_code,
    coalesce(s.base_net, 0)::decimal(38, 6) as base_net
from {{ ref('stg_contacts') }} c
full join sales s on s.contact_id = c.contact_id
left join {{ ref('stg_currencies') }} b on b.is_base
where s.contact_id is not null or not (coalesce(c.is_supplier, false) or coalesce(c.is_staff, false))
