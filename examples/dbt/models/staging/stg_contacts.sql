-- People and organisations under one name.
select
    id as contact_id,
    coalesce(nullif(organisation_name, ''), nullif(concat_ws(' ', first_name, last_name), '')) as contact_name,
    email,
    is_supplier,
    is_staff,
    created_on,
    nullif(company_id, 0) as company_id,
    nullif(channel_id, 0) as channel_id,
    credit_limit
from {{ source('brightpearl', 'contact') }}
