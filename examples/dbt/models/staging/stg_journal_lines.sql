-- Lines of journals with the date by which they count. The source gives both sides positive; here credits are negative.
select
    j.id as journal_id,
    l.side,
    l.position,
    j.journal_type_code as journal_type,
    j.tax_date_local as tax_date,
    j.contact_id,
    l.order_id,
    l.channel_id,
    l.nominal_code,
    l.tax_code,
    c.currency_code,
    if(l.side = 'credit', -l.transaction_amount, l.transaction_amount) as amount,
    if(l.side = 'credit', -l.change, l.change) as base_amount
from {{ source('brightpearl', 'journal_line') }} l
join {{ source('brightpearl', 'journal') }} j on j.id = l.journal_id
left join {{ ref('stg_currencies') }} c on c.currency_id = j.currency_id
