-- The twenty customers with the greatest net sales, credits taken off, in the account's currency.
SELECT p.contact_id,
       any_value(coalesce(c.organisation_name, concat_ws(' ', c.first_name, c.last_name))) AS customer,
       count(*) FILTER (o.order_type_code = 'SO') AS sales,
       max(o.placed_on) AS last_order,
       sum(CASE o.order_type_code WHEN 'SC' THEN -abs(o.base_net) ELSE o.base_net END)::DECIMAL(18, 2) AS net
FROM "order" o
JOIN order_party p ON p.order_id = o.id AND p.role = 'customer'
LEFT JOIN contact c ON c.id = p.contact_id
WHERE o.order_type_code IN ('SO', 'SC') AND o.original_invoice_date_local IS NOT NULL
GROUP BY p.contact_id
ORDER BY net DESC, p.contact_id
LIMIT 20;
