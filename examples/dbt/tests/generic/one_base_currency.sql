{#- An account has exactly one base currency. -#}
{% test one_base_currency(model) %}
select count(*) as base_currencies
from {{ model }}
where is_base
having count(*) <> 1
{% endtest %}
