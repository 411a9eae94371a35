{#- Rows of a general practice table, of a supplier's newest snapshot: each is a whole export, so
    what is no longer in it was taken back. -#}
{% macro newest_snapshot(table) -%}
(
    select snapshot_row.*
    from {{ accepted_person('gp_olids', table) }} as snapshot_row
    inner join {{ ref('stg_gp_olids__delivery') }} using (delivery_id)
)
{%- endmacro %}

{#- The same for entries of patients who count: neither deleted nor confidential. -#}
{% macro gp_entries(table, is_confidential='is_confidential') -%}
(
    select entry.*, patient.snapshot_date
    from {{ newest_snapshot(table) }} as entry
    inner join {{ ref('stg_gp_olids__patient') }} as patient using (record_key)
    where not coalesce(entry.is_deleted, false) and not coalesce({{ is_confidential }}, false)
)
{%- endmacro %}

{#- SNOMED CT (UK): dissent from secondary use of the patient's general practice data (Type 1
    opt-out), and its withdrawal. -#}
{% macro dissent_code() %}'827241000000103'{% endmacro %}
{% macro type_1_codes() %}{{ dissent_code() }}, '827261000000102'{% endmacro %}

{#- SNOMED CT codes of the concepts that a delivery names; what is withheld as sensitive has none. -#}
{% macro gp_concepts() -%}
(
    select delivery_id, concept_id, min(snomed_code) as snomed_code
    from {{ accepted('gp_olids', 'concept') }}
    where snomed_code is not null
    group by delivery_id, concept_id
)
{%- endmacro %}
