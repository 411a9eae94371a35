{#- A statement that is true of every row; rows where it is unknown (null) pass. -#}
{% test holds(model, condition, column_name=none) %}
select 1
from {{ model }}
where not ({{ condition }})
{% endtest %}
