{#- Columns the contract requires are filled in the pseudonymised table. -#}
{% test required_columns(model, columns) %}
select 1
from {{ model }}
where {% for column in columns %}{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %}
{% endtest %}
