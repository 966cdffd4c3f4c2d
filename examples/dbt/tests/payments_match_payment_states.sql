-- Orders whose payment state contradicts their payments. Orders that were paid in another currency are left out, and so are
-- those with a total of 0 and states that are not documented.
with paid as (
    select
        order_id,
        sum(amount) as amount,
        count(distinct currency_code) as currencies,
        any_value(currency_code) as currency_code
    from {{ ref('stg_payments') }}
    group by order_id
),

compared as (
    -- The part that is paid has the sign of the total.
    select
        o.order_id,
        o.payment_status,
        abs(o.total) as total,
        coalesce(p.amount, 0) * sign(o.total) as paid
    from {{ ref('stg_orders') }} o
    left join paid p on p.order_id = o.order_id
    where o.total <> 0 and (p.order_id is null or (p.currencies = 1 and p.currency_code = o.currency_code))
)

select order_id, payment_status, total, paid
from compared
where (payment_status = 'PAID' and paid < total)
    or (payment_status = 'PARTIALLY_PAID' and (paid <= 0 or paid >= total))
    or (payment_status = 'UNPAID' and paid > 0)
    or (payment_status = 'NOT_APPLICABLE' and paid <> 0)
