-- Purchase orders that are not closed: what is still to come in, in pieces and in the order's currency.
WITH received AS (
    SELECT purchase_order_row_id, sum(quantity) AS quantity FROM goods_in_note_movement GROUP BY ALL
)
SELECT o.id, o.placed_on, o.order_status_name AS status, p.contact_id AS supplier_id,
       o.order_currency_code AS currency,
       sum(r.quantity)::BIGINT AS ordered,
       sum(coalesce(i.quantity, 0))::BIGINT AS received,
       sum(greatest(r.quantity - coalesce(i.quantity, 0), 0)::DECIMAL(9, 0) * r.product_price::DECIMAL(18, 4))::DECIMAL(18, 4) AS to_come
FROM "order" o
JOIN order_row r ON r.order_id = o.id
LEFT JOIN order_party p ON p.order_id = o.id AND p.role = 'supplier'
LEFT JOIN received i ON i.purchase_order_row_id = r.id
WHERE o.order_type_code = 'PO' AND o.closed_on IS NULL
GROUP BY ALL
ORDER BY o.placed_on, o.id;
