-- Journals by the month of their tax date and nominal code, in the account's currency: over all codes a month's debits equal its credits.
SELECT strftime(j.tax_date_local, '%Y-%m') AS month,
       l.nominal_code, n.name,
       coalesce(sum(l.change) FILTER (l.side = 'debit'), 0)::DECIMAL(18, 2) AS debit,
       coalesce(sum(l.change) FILTER (l.side = 'credit'), 0)::DECIMAL(18, 2) AS credit
FROM journal j
JOIN journal_line l ON l.journal_id = j.id
LEFT JOIN nominal_code n ON n.code = l.nominal_code
GROUP BY ALL
ORDER BY month DESC, l.nominal_code;
