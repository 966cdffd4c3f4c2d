{#- An amount at an exchange rate (units of its currency for one of the account's), in the account's currency, rounded half
    up to the cent. DuckDB divides decimals as floating numbers, so whole numbers are divided here: an amount has 6 digits
    behind the point, a rate 10. -#}
{% macro in_base_currency(amount, rate) -%}
(
        sign({{ amount }}) * (
            (2000000 * (abs({{ amount }})::decimal(38, 6) * 1000000)::hugeint + ({{ rate }}::decimal(38, 10) * 10000000000)::hugeint)
            // nullif(2 * ({{ rate }}::decimal(38, 10) * 10000000000)::hugeint, 0)
        )::decimal(36, 0) * 0.01
    )::decimal(38, 2)
{%- endmacro %}
