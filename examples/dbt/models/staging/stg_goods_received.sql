-- Pieces received by line of a purchase order or a sales credit.
select
    purchase_order_row_id as order_line_id,
    sum(quantity)::decimal(18, 6) as quantity
from {{ source('brightpearl', 'goods_in_note_movement') }}
where purchase_order_row_id is not null
group by purchase_order_row_id
