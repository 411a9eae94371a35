{# What does not fit in memory is written beside the run's logs, and goes with them. #}
{% macro spill() -%}
{% if execute and flags.WHICH in ('build', 'run', 'test') %}
set temp_directory = '{{ env_var("LINKED_CYP_SPILL", "target/spill") }}'
{% endif %}
{%- endmacro %}
