-- What customers owe: invoices less credits and payments, by customer and currency. A negative balance is owed to the customer.
-- Payments to customers are negative at the source; authorisations pay nothing.
WITH paid AS (
    SELECT order_id, sum(amount_paid) AS amount FROM customer_payment GROUP BY ALL
), balance AS (
    SELECT o.id, p.contact_id, o.order_currency_code AS currency, i.due_date_local AS due,
           CASE o.order_type_code WHEN 'SC' THEN -abs(o.total) ELSE o.total END - coalesce(d.amount, 0) AS amount
    FROM "order" o
    JOIN order_invoice i ON i.order_id = o.id AND i.invoice_reference <> ''
    JOIN order_party p ON p.order_id = o.id AND p.role = 'customer'
    LEFT JOIN paid d ON d.order_id = o.id
    WHERE o.order_type_code IN ('SO', 'SC')
)
SELECT contact_id, currency, count(*) AS invoices, min(due) AS oldest_due, sum(amount)::DECIMAL(18, 2) AS owed
FROM balance
WHERE amount <> 0
GROUP BY ALL
ORDER BY owed DESC, contact_id, currency;
