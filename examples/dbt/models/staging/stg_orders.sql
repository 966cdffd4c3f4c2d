-- Orders of every type with their invoice and party. Credits are negative in every measure, whichever sign the source has.
with parties as (
    select order_id, max(contact_id) as contact_id
    from {{ source('brightpearl', 'order_party') }}
    where role in ('customer', 'supplier')
    group by order_id
),

invoices as (
    -- One for each order in all samples.
    select order_id, min(invoice_reference) as invoice_reference, min(due_date_local) as due_date
    from {{ source('brightpearl', 'order_invoice') }}
    where invoice_reference <> ''
    group by order_id
)

select
    o.id as order_id,
    o.order_type_code in ('SO', 'SC') as is_sale,
    o.order_type_code in ('SC', 'PC') as is_credit,
    nullif(o.parent_order_id, 0) as parent_order_id,
    o.order_status_name as order_status,
    o.order_payment_status as payment_status,
    p.contact_id,
    nullif(o.channel_id, 0) as channel_id,
    o.warehouse_id,
    o.placed_on,
    o.created_on,
    o.closed_on,
    o.original_invoice_date_local as invoice_date,
    i.invoice_reference,
    i.due_date,
    o.order_currency_code as currency_code,
    o.exchange_rate,
    if(o.order_type_code in ('SC', 'PC'), -abs(o.net), o.net) as net,
    if(o.order_type_code in ('SC', 'PC'), -abs(o.tax_amount), o.tax_amount) as tax,
    if(o.order_type_code in ('SC', 'PC'), -abs(o.total), o.total) as total,
    o.accounting_currency_code as base_currency_code,
    if(o.order_type_code in ('SC', 'PC'), -abs(o.base_net), o.base_net) as base_net,
    if(o.order_type_code in ('SC', 'PC'), -abs(o.base_tax_amount), o.base_tax_amount) as base_tax,
    if(o.order_type_code in ('SC', 'PC'), -abs(o.base_total), o.base_total) as base_total
from {{ source('brightpearl', 'order') }} o
left join parties p on p.order_id = o.id
left join invoices i on i.order_id = o.id
