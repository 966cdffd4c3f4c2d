-- Orders whose totals are not the sums of their lines.
with lines as (
    select order_id, sum(net) as net, sum(tax) as tax
    from {{ ref('stg_order_lines') }}
    group by order_id
)

select o.order_id, o.net, l.net as net_of_lines, o.tax, l.tax as tax_of_lines, o.total
from {{ ref('stg_orders') }} o
left join lines l on l.order_id = o.order_id
where o.net <> coalesce(l.net, 0) or o.tax <> coalesce(l.tax, 0) or o.net + o.tax <> o.total
