{#- Sex and ethnicity as every feed's own codes say it, on one scale: `sex` (M or F, null when the
    source does not know) and `ethnicity_code` (DfE main, null when refused or not obtained). What a
    code means depends on the feed and the collection year; one that the feed does not have in that
    year means nothing. The source's own codes stay beside them.

    Expects columns feed, year (collection year), source_sex_code and source_ethnicity_code. -#}
{% macro harmonised(relation) -%}
(
    select
        recorded.*,
        nullif(sex.sex, 'U') as sex,
        case when ethnicity.ethnicity_code not in ('REFU', 'NOBT') then ethnicity.ethnicity_code end
            as ethnicity_code
    from {{ relation }} as recorded
    left join {{ ref('sex') }} as sex
        on sex.feed = recorded.feed
        and lower(sex.source_code) = lower(trim(recorded.source_sex_code))
        and {{ in_force('sex', 'recorded.year') }}
    left join {{ ref('ethnicity') }} as ethnicity
        on ethnicity.feed = recorded.feed
        and lower(ethnicity.source_code) = lower(trim(recorded.source_ethnicity_code))
        and {{ in_force('ethnicity', 'recorded.year') }}
)
{%- endmacro %}

{#- Whether a row of a code map holds in a collection year; `since` and `until` are inclusive.
    Plain comparisons: with an `or`, DuckDB compares every record with every code of the map. -#}
{% macro in_force(map, year) -%}
coalesce({{ map }}.since, 0) <= {{ year }} and coalesce({{ map }}.until, 9999) >= {{ year }}
{%- endmacro %}
