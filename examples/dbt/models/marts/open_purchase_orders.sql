-- Lines of purchase orders that are not closed: ordered, received, and still to come.
with lines as (
    select
        l.order_line_id,
        l.order_id,
        l.product_id,
        l.sku,
        l.quantity,
        coalesce(r.quantity, 0)::decimal(18, 6) as received,
        greatest(l.quantity - coalesce(r.quantity, 0), 0)::decimal(18, 6) as to_come,
        (greatest(l.quantity - coalesce(r.quantity, 0), 0)::decimal(38, 6) * l.unit_price)::decimal(18, 6) as value_to_come
    from {{ ref('stg_order_lines') }} l
    left join {{ ref('stg_goods_received') }} r on r.order_line_id = l.order_line_id
)

select
    l.order_line_id,
    l.order_id,
    o.order_status,
    o.placed_on,
    o.contact_id as supplier_id,
    s.contact_name as supplier,
    o.warehouse_id,
    l.product_id,
    l.sku,
    l.quantity as ordered,
    l.received,
    l.to_come,
    o.currency_code,
    l.value_to_come,
    o.base_currency_code,
    {{ in_base_currency('l.value_to_come', 'o.exchange_rate') }} as base_value_to_come
from lines l
join {{ ref('stg_orders') }} o on o.order_id = l.order_id
left join {{ ref('stg_contacts') }} s on s.contact_id = o.contact_id
where not o.is_sale and not o.is_credit and o.closed_on is null
