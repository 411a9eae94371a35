{#- Level of special educational needs provision, with the codes of before 2014. In the order of the
    alphabet a plan comes first, then none, then support. -#}
{% macro sen_level(code) -%}
case
    when {{ code }} in ('E', 'S') then 'EHC plan or statement'
    when {{ code }} in ('K', 'A', 'P') then 'SEN support'
    when {{ code }} = 'N' then 'No SEN'
end
{%- endmacro %}

{#- Of the returns of one request, assessment or plan, the one that knows most: a decision, then that
    it was made earlier (H), then that it is open; then the newest. -#}
{% macro most_decided(outcome) -%}
case when {{ outcome }} in ('Y', 'N', 'W') then 0 when {{ outcome }} = 'H' then 1 else 2 end,
{{ newest_return() }}
{%- endmacro %}
