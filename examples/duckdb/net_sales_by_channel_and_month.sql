-- Net sales: invoices less credits, by the month of the tax date and the channel, in the account's currency.
-- Credits count as negative, whichever sign the account gives them.
SELECT strftime(o.original_invoice_date_local, '%Y-%m') AS month,
       c.name AS channel,
       count(*) FILTER (o.order_type_code = 'SO') AS sales,
       count(*) FILTER (o.order_type_code = 'SC') AS credits,
       sum(CASE o.order_type_code WHEN 'SC' THEN -abs(o.base_net) ELSE o.base_net END)::DECIMAL(18, 2) AS net
FROM "order" o
JOIN channel c ON c.id = o.channel_id
WHERE o.order_type_code IN ('SO', 'SC') AND o.original_invoice_date_local IS NOT NULL
GROUP BY ALL
ORDER BY month DESC, net DESC, channel;
