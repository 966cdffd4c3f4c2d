-- Invoiced sales of products less credits, their cost and the margin, in the account's currency.
select
    l.product_id,
    coalesce(any_value(p.sku), max(l.sku)) as sku,
    any_value(b.name) as brand,
    l.base_currency_code,
    sum(l.quantity) as quantity,
    sum(l.base_net) as base_net,
    sum(l.cost) as base_cost,
    sum(l.base_net)::decimal(38, 6) - sum(l.cost) as base_margin
from {{ ref('stg_order_lines') }} l
left join {{ source('brightpearl', 'product') }} p on p.id = l.product_id
left join {{ source('brightpearl', 'brand') }} b on b.id = p.brand_id
where l.is_sale and l.invoice_date is not null and l.product_id is not null
group by l.product_id, l.base_currency_code
