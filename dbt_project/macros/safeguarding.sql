{#- Rows of the newest extract of each authority: every delivery of the safeguarding dataset is the
    whole of it, so what it no longer holds is gone. -#}
{% macro newest_extract(table) -%}
(
    select *
    from {{ accepted_person('ssd', table) }}
    where delivery_id in (
        select arg_max(delivery_id, period)
        from {{ ref('stg_delivery') }}
        where feed = 'ssd'
        group by supplier
    )
)
{%- endmacro %}

{#- One row per child, authority and year of a yearly table of the looked-after return. -#}
{% macro newest_of_the_year(table) -%}
(
    select *
    from {{ accepted_person('ssda903', table) }}
    qualify row_number() over (
        partition by person_id, delivery_supplier, delivery_year order by {{ newest_return() }}
    ) = 1
)
{%- endmacro %}
