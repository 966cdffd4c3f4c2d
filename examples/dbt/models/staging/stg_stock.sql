-- Stock by product and warehouse, as the newest snapshot has it: figures of several days do not add up.
select
    snapshot_date,
    product_id,
    warehouse_id,
    in_stock,
    allocated,
    on_hand,
    in_transit
from {{ source('brightpearl', 'product_availability_warehouse') }}
where snapshot_date = (
    select max(snapshot_date) from {{ source('brightpearl', 'product_availability_warehouse') }}
)
