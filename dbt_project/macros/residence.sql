{#- Where the child of each row lived on a date of that row: of the stays begun by then one that
    still went on before one that had ended, then the latest, then the NHS spine's. `keys` identify
    the row; a row without a known stay is left out. -#}
{% macro lived_at(relation, keys, date) -%}
(
    select
        {% for key in keys %}event.{{ key }}, {% endfor %}
        stay.la_code,
        stay.imd_2019_quintile,
        stay.imd_2025_quintile
    from {{ relation }} as event
    inner join {{ ref('address_history') }} as stay
        on stay.person_id = event.person_id and stay.from_month <= event.{{ date }}
    qualify row_number() over (
        partition by {% for key in keys %}event.{{ key }}{{ ', ' if not loop.last }}{% endfor %}
        order by
            coalesce(stay.to_month >= date_trunc('month', event.{{ date }}), true) desc,
            stay.from_month desc,
            stay.feed = 'pds_demographics' desc,
            stay.feed
    ) = 1
)
{%- endmacro %}
