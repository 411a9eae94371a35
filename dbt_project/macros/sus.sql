{#- Records of a Secondary Uses Service feed that count, with their person: the newest submission of
    each record key, unless the newest import of that key in the insert and delete log is marked as
    deleted and came with an equally new or newer delivery. A record whose patient's identity is
    withheld is left out: it can belong to nobody. Its child tables are joined on delivery_id and
    the key, so that they come from the submission that counts. -#}
{% macro sus_records(feed, table, key) -%}
(
    with newest_import as (
        select {{ key }}, delivery_supplier, delivery_month, is_deleted
        from {{ accepted(feed, 'insert_delete_log') }}
        qualify row_number() over (
            partition by {{ key }}, delivery_supplier
            order by delivery_month desc, import_log_id desc, row_number desc
        ) = 1
    ),

    -- chosen before the person is known: else an earlier submission, perhaps under the number of
    -- somebody else, would stand for one whose patient opted out
    newest_record as (
        select *
        from {{ accepted(feed, table) }}
        qualify row_number() over (
            partition by {{ key }}, delivery_supplier
            order by delivery_month desc, received_date desc nulls last, delivery_id desc,
                row_number desc
        ) = 1
    )

    select newest_record.*, bridge.person_id, bridge.tier as link_tier
    from newest_record
    inner join {{ source('linkage', 'bridge') }} as bridge using (record_key)
    left join newest_import using ({{ key }}, delivery_supplier)
    where bridge.feed = '{{ feed }}'
    and not (
        coalesce(newest_import.is_deleted, false)
        and newest_import.delivery_month >= newest_record.delivery_month
    )
    and newest_record.withheld_identity_reason_code is null
)
{%- endmacro %}

{#- The order of a person's records of which several are one thing sent under several keys: keep the
    first of these. -#}
{% macro newest_submission() -%}
delivery_month desc, received_date desc nulls last, row_number desc
{%- endmacro %}

{#- Rows of a child table of the records kept in {{ record }}. -#}
{% macro of_records(record, feed, table, key) -%}
inner join {{ accepted(feed, table) }} as {{ table }}
    on {{ table }}.delivery_id = {{ record }}.delivery_id
    and {{ table }}.{{ key }} = {{ record }}.{{ key }}
{%- endmacro %}

{#- The three questions about a method of admission. Emergency: the ten codes of ECHILD's
    emergency_admissions_v1. An admission is unplanned where it is an emergency and neither a
    transfer of a patient already admitted nor the child's own birth. -#}
{% macro is_emergency_method(code) -%}
coalesce({{ code }} in ('21', '22', '23', '24', '25', '28', '2A', '2B', '2C', '2D'), false)
{%- endmacro %}

{% macro is_transfer_method(code) -%}
coalesce({{ code }} in ('2B', '81'), false)
{%- endmacro %}

{% macro is_birth_method(code) -%}
coalesce({{ code }} in ('2C', '82', '83'), false)
{%- endmacro %}

{% macro is_unplanned_method(code) -%}
(
    {{ is_emergency_method(code) }}
    and not {{ is_transfer_method(code) }}
    and not {{ is_birth_method(code) }}
)
{%- endmacro %}
