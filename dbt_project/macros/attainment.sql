{#- An academic year by the year in which it ends, from 2023/2024, 2023/24, 20232024, 202324 or 2024;
    null when the two years do not follow each other. -#}
{% macro academic_year_of(text) -%}
case
    when regexp_full_match({{ text }}, '[0-9]{4}') then cast({{ text }} as integer)
    when
        regexp_full_match({{ text }}, '[0-9]{4}[/-]?([0-9]{2}|[0-9]{4})')
        and right(cast(cast(left({{ text }}, 4) as integer) + 1 as varchar), 2) = right({{ text }}, 2)
        then cast(left({{ text }}, 4) as integer) + 1
end
{%- endmacro %}

{#- Results of one data set of the pupil download: rows of children with a readable academic year.
    Several may remain for a child and year; `one_result` says which counts. -#}
{% macro results(table) -%}
(
    select
        accepted_row.* exclude (academic_year_text, delivery_supplier),
        accepted_row.delivery_supplier as local_authority,
        {{ academic_year_of('academic_year_text') }} as academic_year
    from {{ accepted_person('npd_attainment', table) }} as accepted_row
    where
        {{ academic_year_of('academic_year_text') }} is not null
        and person_id in (select person_id from {{ ref('child') }})
)
{%- endmacro %}

{#- Of a child's rows in a year, the one that counts: one with a result, then of the newest download. -#}
{% macro one_result(result) -%}
row_number() over (
    partition by person_id, academic_year
    order by {{ result }} is not null desc, {{ newest_return() }}
) = 1
{%- endmacro %}

{#- Whether a teacher assessment is at the expected standard or above; null when there is none. -#}
{% macro judged_expected(code) -%}
case
    when {{ code }} in ('EXS', 'GDS') then true
    when {{ code }} in (
        'WTS', 'HNM', 'PKF', 'PK1', 'PK2', 'PK3', 'PK4', 'PK5', 'PK6', 'BLW', 'EM', 'A', 'D'
    ) then false
end
{%- endmacro %}
