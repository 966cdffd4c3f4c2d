-- Stock by product and warehouse on the day of the newest snapshot.
select
    s.snapshot_date,
    s.product_id,
    p.sku,
    s.warehouse_id,
    w.name as warehouse,
    s.in_stock,
    s.allocated,
    s.on_hand,
    s.in_transit
from {{ ref('stg_stock') }} s
left join {{ source('brightpearl', 'product') }} p on p.id = s.product_id
left join {{ source('brightpearl', 'warehouse') }} w on w.id = s.warehouse_id
