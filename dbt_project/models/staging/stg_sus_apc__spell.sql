-- One row per spell, from its newest submission. A spell whose newest import is marked as deleted
-- in the insert and delete log of an equally new or newer delivery is left out, and so is one whose
-- patient's identity is withheld: it can belong to nobody.
with newest_import as (
    select
        spell_id,
        delivery_supplier,
        delivery_year,
        delivery_month,
        is_deleted
    from {{ accepted('sus_apc', 'insert_delete_log') }}
    qualify row_number() over (
        partition by spell_id, delivery_supplier
        order by delivery_month desc, import_log_id desc, row_number desc
    ) = 1
),

newest_spell as (
    select *
    from {{ accepted_person('sus_apc', 'spell') }}
    qualify row_number() over (
        partition by spell_id, delivery_supplier
        order by delivery_month desc, received_date desc nulls last, delivery_id desc,
            row_number desc
    ) = 1
)

select newest_spell.*
from newest_spell
left join newest_import using (spell_id, delivery_supplier)
where not (
    coalesce(newest_import.is_deleted, false)
    and newest_import.delivery_month >= newest_spell.delivery_month
)
and newest_spell.withheld_identity_reason_code is null
