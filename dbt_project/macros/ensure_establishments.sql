{#- The empty table of schools, until linked_cyp.pseudonymise.reference writes the one the operator supplied. -#}
{% macro ensure_establishments() -%}
{% if execute and flags.WHICH in ('build', 'run', 'test') %}
create schema if not exists reference;
create table if not exists reference.establishment (
    feed varchar, supplier varchar, school_id bigint, phase varchar, type_group varchar,
    lowest_age bigint, highest_age bigint
);
{% endif %}
{%- endmacro %}
