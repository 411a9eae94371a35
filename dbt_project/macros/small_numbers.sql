{#- A count as people may see it: zero, empty from 1 to 9, else to the nearest 5, as in releases
    (linked_cyp/core/disclosure.py). -#}
{% macro rounded_count(count) -%}
cast(case
    when {{ count }} = 0 then 0
    when {{ count }} >= 10 then ({{ count }} + 2) // 5 * 5
end as integer)
{%- endmacro %}
