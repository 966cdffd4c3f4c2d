-- Payments of customers and to suppliers, with the sign of the order that they pay: receipts from customers and payments to
-- suppliers are positive, what goes back is negative. An authorisation pays nothing.
select
    'customer' as party,
    id as payment_id,
    order_id,
    journal_id,
    payment_type,
    payment_method_code,
    payment_date_local as payment_date,
    currency_code,
    if(payment_type = 'PAYMENT', -abs(amount_paid), amount_paid) as amount
from {{ source('brightpearl', 'customer_payment') }}
union all
select
    'supplier' as party,
    id as payment_id,
    order_id,
    journal_id,
    payment_type,
    payment_method_code,
    payment_date_local as payment_date,
    currency_code,
    if(payment_type = 'RECEIPT', -abs(amount_paid), amount_paid) as amount
from {{ source('brightpearl', 'supplier_payment') }}
