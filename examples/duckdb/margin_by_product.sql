-- Margin: net sales less the cost of what was sold, by product, in the account's currency. Credits count as negative.
-- The exchange rate of an order says how much of its currency is one of the account's; `item_cost` is in the account's.
WITH sold AS (
    SELECT r.product_id, r.product_sku,
           CASE o.order_type_code WHEN 'SC' THEN -1 ELSE 1 END AS sign,
           abs(r.quantity) AS quantity,
           round(abs(r.row_net) / o.exchange_rate, 2)::DECIMAL(18, 2) AS net,
           (abs(r.quantity)::DECIMAL(9, 0) * r.item_cost::DECIMAL(18, 4))::DECIMAL(18, 4) AS cost
    FROM "order" o
    JOIN order_row r ON r.order_id = o.id
    WHERE o.order_type_code IN ('SO', 'SC') AND o.original_invoice_date_local IS NOT NULL AND r.product_id IS NOT NULL
)
SELECT product_id, product_sku AS sku,
       sum(sign * quantity)::BIGINT AS pieces,
       sum(sign * net)::DECIMAL(18, 2) AS net,
       sum(sign * cost)::DECIMAL(18, 4) AS cost,
       sum(sign * net)::DECIMAL(18, 4) - sum(sign * cost)::DECIMAL(18, 4) AS margin
FROM sold
GROUP BY ALL
ORDER BY margin DESC, product_id;
