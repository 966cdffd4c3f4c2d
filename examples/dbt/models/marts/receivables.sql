-- Invoices and credits that are not settled, in the currency of their order and in the account's. Positive amounts are due
-- from the customer, negative ones to the customer.
with paid as (
    select order_id, sum(amount) as amount
    from {{ ref('stg_payments') }}
    where party = 'customer'
    group by order_id
)

select
    o.order_id,
    o.invoice_reference,
    o.is_credit,
    o.contact_id,
    c.contact_name as customer,
    o.invoice_date,
    o.due_date,
    o.currency_code,
    o.total,
    coalesce(p.amount, 0)::decimal(38, 6) as paid,
    o.total - coalesce(p.amount, 0)::decimal(38, 6) as outstanding,
    o.base_currency_code,
    {{ in_base_currency('(o.total - coalesce(p.amount, 0))::decimal(18, 6)', 'o.exchange_rate') }} as base_outstanding
from {{ ref('stg_orders') }} o
left join paid p on p.order_id = o.order_id
left join {{ ref('stg_contacts') }} c on c.contact_id = o.contact_id
where o.is_sale and o.invoice_reference is not null and o.total <> coalesce(p.amount, 0)
