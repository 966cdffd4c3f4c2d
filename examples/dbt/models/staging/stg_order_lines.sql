-- Lines of orders. Those of credits are negative in every measure.
select
    o.order_id,
    r.id as order_line_id,
    o.is_sale,
    o.is_credit,
    o.invoice_date,
    r.product_id,
    r.product_sku as sku,
    r.product_name as line_text,
    if(o.is_credit, -abs(r.quantity), r.quantity) as quantity,
    r.product_price as unit_price,
    r.item_cost as unit_cost,
    r.item_cost_currency_code as cost_currency_code,
    (if(o.is_credit, -abs(r.quantity), r.quantity)::decimal(38, 6) * r.item_cost)::decimal(18, 6) as cost,
    o.currency_code,
    if(o.is_credit, -abs(r.row_net), r.row_net) as net,
    if(o.is_credit, -abs(r.row_tax), r.row_tax) as tax,
    o.base_currency_code,
    {{ in_base_currency('if(o.is_credit, -abs(r.row_net), r.row_net)', 'o.exchange_rate') }} as base_net
from {{ source('brightpearl', 'order_row') }} r
join {{ ref('stg_orders') }} o on o.order_id = r.order_id
