{#- A foreign key of several columns: every row has its parent. -#}
{% test belongs_to(model, to, columns) %}
select 1
from {{ model }} as child_row
where not exists (
    select 1
    from {{ to }} as parent_row
    where {% for column in columns -%}
    parent_row.{{ column }} = child_row.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor %}
)
{% endtest %}
