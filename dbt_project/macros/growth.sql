{#- Standard deviation score of a measurement by the LMS method: how many standard deviations from
    the median, once the skewness L is taken out (Cole and Green, Statistics in Medicine 1992; 11:
    1305-19). -#}
{% macro lms_z(value, l, m, s) -%}
case
    when {{ value }} <= 0 or {{ m }} <= 0 or {{ s }} <= 0 then null
    when abs({{ l }}) < 1e-9 then ln({{ value }} / {{ m }}) / {{ s }}
    else (power({{ value }} / {{ m }}, {{ l }}) - 1) / ({{ l }} * {{ s }})
end
{%- endmacro %}

{#- The share of a normal distribution below a score, to seven decimals (Abramowitz and Stegun,
    Handbook of Mathematical Functions, 26.2.17); DuckDB has no error function. -#}
{% macro normal_share(z) -%}
(
    case when {{ z }} < 0 then 0.0 else 1.0 end
    + case when {{ z }} < 0 then 1.0 else -1.0 end
    * exp(-power({{ z }}, 2) / 2) / sqrt(2 * pi())
    * (
        0.319381530 * {{ _t(z) }} - 0.356563782 * power({{ _t(z) }}, 2)
        + 1.781477937 * power({{ _t(z) }}, 3) - 1.821255978 * power({{ _t(z) }}, 4)
        + 1.330274429 * power({{ _t(z) }}, 5)
    )
)
{%- endmacro %}

{% macro _t(z) -%}
(1 / (1 + 0.2316419 * abs({{ z }})))
{%- endmacro %}

{#- A value of a growth reference between the two tabulated ages on either side, in proportion;
    null outside the ages of the table. -#}
{% macro between_ages(column) -%}
case
    when below.age_months = above.age_months then below.{{ column }}
    else below.{{ column }} + (above.{{ column }} - below.{{ column }})
        * (measured.age_months - below.age_months) / (above.age_months - below.age_months)
end
{%- endmacro %}

{#- Category of body mass index from a centile; `cuts` are the centiles at which overweight and
    obesity begin. -#}
{% macro bmi_category(centile, cuts) -%}
case
    when {{ centile }} <= 0.02 then 'underweight'
    when {{ centile }} < {{ cuts[0] }} then 'healthy weight'
    when {{ centile }} < {{ cuts[1] }} then 'overweight'
    when {{ centile }} < 0.996 then 'obese'
    when {{ centile }} is not null then 'severely obese'
end
{%- endmacro %}

{#- A height (cm) or weight (kg) that a child or young person can have; others are slips. -#}
{% macro is_height(cm) -%}
({{ cm }} between 30 and 250)
{%- endmacro %}

{% macro is_weight(kg) -%}
({{ kg }} between 0.4 and 250)
{%- endmacro %}
