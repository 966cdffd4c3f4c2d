-- The trial balance by month of the tax date and nominal code, in the account's currency. Over all codes the debits of a
-- month equal its credits.
with movements as (
    select
        date_trunc('month', tax_date)::date as month,
        nominal_code,
        coalesce(sum(base_amount) filter (side = 'debit'), 0)::decimal(38, 6) as debit,
        coalesce(sum(-base_amount) filter (side = 'credit'), 0)::decimal(38, 6) as credit
    from {{ ref('stg_journal_lines') }}
    group by all
)

select
    m.month,
    m.nominal_code,
    n.name as nominal_code_name,
    b.currency_code as base_currency_code,
    m.debit,
    m.credit,
    m.debit - m.credit as movement,
    sum(m.debit - m.credit) over (
        partition by m.nominal_code order by m.month rows unbounded preceding
    )::decimal(38, 6) as balance
from movements m
left join {{ source('brightpearl', 'nominal_code') }} n on n.code = m.nominal_code
left join {{ ref('stg_currencies') }} b on b.is_base
