-- Journals whose debits and credits differ, in their own currency or in the account's.
select journal_id, sum(amount) as difference, sum(base_amount) as base_difference
from {{ ref('stg_journal_lines') }}
group by journal_id
having sum(amount) <> 0 or sum(base_amount) <> 0
