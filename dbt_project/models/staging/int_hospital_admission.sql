-- Spells as admissions, numbered within the child, with exact dates. A spell sent twice under two
-- record keys (same provider, spell number and admission date) is kept once.
with spell as (
    select
        *,
        case when discharge_date >= admission_date then discharge_date end as valid_discharge_date
    from {{ ref('stg_sus_apc__spell') }}
    where {{ plausible_date('admission_date') }} is not null
    qualify row_number() over (
        partition by
            person_id, provider_code, admission_date, coalesce(provider_spell_number, spell_id)
        order by delivery_month desc, received_date desc nulls last, row_number desc
    ) = 1
)

select
    spell.* exclude (birth_month, discharge_date),
    spell.valid_discharge_date as discharge_date,
    child.birth_month,
    child.death_month,
    {{ is_birth_method('spell.admission_method_code') }} as is_birth,
    {{ is_unplanned_method('spell.admission_method_code') }} as is_unplanned,
    {{ is_birth_method('spell.admission_method_code') }}
    or {{ in_vital_month('spell.admission_date', 'child.birth_month') }}
    -- an exact admission and a length of stay would tell the day of a death in hospital
    or coalesce(spell.discharge_method_code = '4', false)
    or coalesce(date_trunc('month', spell.valid_discharge_date) = child.death_month, false)
        as is_date_coarsened,
    cast(row_number() over (
        partition by spell.person_id
        order by spell.admission_date, spell.valid_discharge_date nulls last, spell.spell_id
    ) as integer) as admission_number
from spell
inner join {{ ref('child') }} as child using (person_id)
