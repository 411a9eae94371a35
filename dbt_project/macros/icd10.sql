{#- An ICD-10 code as written in hospital records, without dots, dagger and asterisk marks and the X
    that pads a three-character code; null when what is left is not a code. -#}
{% macro clean_icd10(code) -%}
nullif(regexp_extract(
    regexp_replace(upper({{ code }}), '[^A-Z0-9]', '', 'g'),
    '^[A-Z][0-9]{2}[0-9]{0,2}'
), '')
{%- endmacro %}

{#- Whether a code lies in a range, on as many characters as the range gives. -#}
{% macro in_code_range(code, code_from, code_to) -%}
(
    left({{ code }}, length({{ code_from }})) >= {{ code_from }}
    and left({{ code }}, length({{ code_to }})) <= {{ code_to }}
)
{%- endmacro %}
