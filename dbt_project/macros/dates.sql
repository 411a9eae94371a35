{#- Dates in the month a child was born or died say when that was: they become the first of the
    month. All other dates stay. The mapping keeps order, so periods stay in sequence. The month of
    death stands beside that of birth. -#}
{% macro coarsen_event_date(date, birth_month) -%}
case
    when {{ in_vital_month(date, birth_month) }} then date_trunc('month', {{ date }})
    else {{ date }}
end
{%- endmacro %}

{#- Whether a date lies in the month a child was born or died; false where neither is known. -#}
{% macro in_vital_month(date, birth_month) -%}
(
    coalesce(date_trunc('month', {{ date }}) = {{ birth_month }}, false)
    or coalesce(
        date_trunc('month', {{ date }}) = {{ birth_month | replace('birth_month', 'death_month') }},
        false
    )
)
{%- endmacro %}

{#- Completed years on a date, from a month of birth: the birthday is taken as the first of the
    month, so a child is counted a year older for the days before the birthday in that month. -#}
{% macro completed_years(birth_month, date) -%}
cast(date_sub('year', {{ birth_month }}, {{ date }}) as integer)
{%- endmacro %}

{#- Age on 31 August before an academic year named by the year in which it ends. Exact from the
    month of birth, because 31 August is the end of a month. -#}
{% macro age_at_academic_year_start(birth_month, academic_year) -%}
cast(date_sub('year', {{ birth_month }}, make_date({{ academic_year }} - 1, 8, 31)) as integer)
{%- endmacro %}

{#- Dates before 1930 are software defaults (ECHILD csc-cleaning). -#}
{% macro plausible_date(date) -%}
case when {{ date }} >= date '1930-01-01' then {{ date }} end
{%- endmacro %}

{#- An event may come this many days before birth and still be true. An unknown birth month allows
    every date, and the first of the birth month gives the benefit of the doubt. -#}
{% macro not_before_birth(date, birth_month, days) -%}
({{ birth_month }} is null or {{ date }} >= {{ birth_month }} - interval {{ days }} day)
{%- endmacro %}

{#- The month of a date, or else that of the delivery. -#}
{% macro month_or_delivered(date) -%}
coalesce(date_trunc('month', {{ date }}), delivery_month)
{%- endmacro %}

{#- The academic year (1 September to 31 August) in which a date falls, by the year in which it
    ends. -#}
{% macro academic_year(date) -%}
cast(year({{ date }}) + (month({{ date }}) >= 9)::integer as integer)
{%- endmacro %}

{#- The financial year (1 April to 31 March) in which a date falls, by the year in which it ends. -#}
{% macro financial_year(date) -%}
cast(year({{ date }}) + (month({{ date }}) >= 4)::integer as integer)
{%- endmacro %}
