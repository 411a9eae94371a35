{#- The empty bridge of a warehouse that has never been linked; linkage replaces it whole. -#}
{% macro ensure_bridge() -%}
{% if execute and flags.WHICH in ('build', 'run', 'test') %}
create schema if not exists linkage;
create table if not exists linkage.bridge (
    record_key bigint, feed varchar, person_id bigint, tier varchar
);
create table if not exists linkage.opted_out (
    record_key bigint, feed varchar, opt_out varchar, reason varchar
);
{% endif %}
{%- endmacro %}
