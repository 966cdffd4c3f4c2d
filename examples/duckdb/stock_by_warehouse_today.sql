-- Stock by warehouse, as the newest snapshot has it. `on_hand` is what can be sold: in stock and not allocated.
SELECT s.snapshot_date, s.warehouse_id, w.name AS warehouse,
       count(*) AS products,
       sum(s.in_stock)::BIGINT AS in_stock,
       sum(s.allocated)::BIGINT AS allocated,
       sum(s.on_hand)::BIGINT AS on_hand
FROM product_availability_warehouse s
LEFT JOIN warehouse w ON w.id = s.warehouse_id
WHERE s.snapshot_date = (SELECT max(snapshot_date) FROM product_availability_warehouse)
GROUP BY ALL
ORDER BY s.warehouse_id;
