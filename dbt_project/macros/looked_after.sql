{#- What a returned episode says beside its dates; the reason it ended may be repaired. -#}
{% macro episode_codes() -%}
{{ return([
    'new_episode_reason_code',
    'legal_status_code',
    'need_category_code',
    'placement_type_code',
    'placement_provider_code',
    'placement_change_reason_code',
]) }}
{%- endmacro %}
