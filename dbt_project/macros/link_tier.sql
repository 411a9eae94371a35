{#- The weakest of several link tiers, from surest to least sure as linkage names them. -#}
{% macro weakest_tier(tier) -%}
{%- set order = ['identifier', 'strong', 'probable', 'unlinked', 'excluded'] -%}
([{% for name in order %}'{{ name }}'{{ ', ' if not loop.last }}{% endfor %}])[
    max(list_position(
        [{% for name in order %}'{{ name }}'{{ ', ' if not loop.last }}{% endfor %}], {{ tier }}
    ))
]
{%- endmacro %}
