-- The currencies of the account; one of them is its base currency, in which it keeps its books.
select
    id as currency_id,
    code as currency_code,
    title as currency_name,
    is_default as is_base,
    exchange_rate
from {{ source('brightpearl', 'currency') }}
