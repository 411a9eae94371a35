{#- Dates in the month a child was born say when the child was born: they become the first of the
    month. Later (and earlier) dates stay. The mapping keeps order, so periods stay in sequence. -#}
{% macro coarsen_in_birth_month(date, birth_month) -%}
case
    when date_trunc('month', {{ date }}) = {{ birth_month }} then {{ birth_month }}
    else {{ date }}
end
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
