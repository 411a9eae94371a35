{#- Whether a row of a civil register counts: the current version of an entry that nobody
    cancelled. -#}
{% macro is_in_force(is_latest, cancelled_code) -%}
(coalesce({{ is_latest }}, true) and coalesce(upper({{ cancelled_code }}) in ('N', '0'), true))
{%- endmacro %}

{#- A month written as text, 202405 or 2024-05, as the first of that month. -#}
{% macro month_as_written(text) -%}
cast(try_strptime(left(replace({{ text }}, '-', ''), 6) || '01', '%Y%m%d') as date)
{%- endmacro %}

{#- A birth weight that can be one, in grams; others are slips of units or of the pen. -#}
{% macro plausible_birth_weight(grams) -%}
case when {{ grams }} between 200 and 7000 then {{ grams }} end
{%- endmacro %}

{#- Whether an underlying cause is an external one (chapter XX of ICD-10); null without a cause. -#}
{% macro external_cause(code) -%}
{{ clean_icd10(code) }} >= 'V01' and {{ clean_icd10(code) }} < 'Z'
{%- endmacro %}
