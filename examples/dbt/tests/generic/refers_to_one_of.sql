{#- Values that are in none of the columns that they may reference. -#}
{% test refers_to_one_of(model, column_name, to, fields) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} is not null
{%- for target in to %}
    and {{ column_name }} not in (select {{ fields[loop.index0] }} from {{ target }} where {{ fields[loop.index0] }} is not null)
{%- endfor %}
{% endtest %}
