-- Invoiced sales less credits, by the day of the invoice and the channel, in the account's currency.
select
    o.invoice_date as sales_date,
    o.channel_id,
    c.name as channel,
    o.base_currency_code,
    count(*) filter (not o.is_credit) as sales,
    count(*) filter (o.is_credit) as credits,
    sum(o.base_net) as base_net,
    sum(o.base_tax) as base_tax,
    sum(o.base_total) as base_total
from {{ ref('stg_orders') }} o
left join {{ source('brightpearl', 'channel') }} c on c.id = o.channel_id
where o.is_sale and o.invoice_date is not null
group by all
