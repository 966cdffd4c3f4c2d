-- Products whose stock is not that of all warehouses together, on any day.
with warehouses as (
    select
        snapshot_date,
        product_id,
        sum(in_stock) as in_stock,
        sum(allocated) as allocated,
        sum(on_hand) as on_hand
    from {{ source('brightpearl', 'product_availability_warehouse') }}
    group by all
)

select
    coalesce(a.snapshot_date, w.snapshot_date) as snapshot_date,
    coalesce(a.product_id, w.product_id) as product_id,
    a.in_stock,
    w.in_stock as in_stock_of_warehouses
from {{ source('brightpearl', 'product_availability') }} a
full join warehouses w on w.snapshot_date = a.snapshot_date and w.product_id = a.product_id
where a.product_id is null
    or coalesce(a.in_stock, 0) <> coalesce(w.in_stock, 0)
    or coalesce(a.allocated, 0) <> coalesce(w.allocated, 0)
    or coalesce(a.on_hand, 0) <> coalesce(w.on_hand, 0)
