with met as (
    select
        entry.person_id,
        entry.effective_date,
        concept.snomed_code,
        entry.practice_code,
        child.birth_month,
        child.death_month,
        -- two of a kind on one day at one practice are two; the copy elsewhere is the same two
        row_number() over (
            partition by
                entry.person_id, entry.effective_date, concept.snomed_code, entry.practice_code
            order by entry.row_number
        ) as repeat_number
    from {{ gp_entries('encounter', is_confidential='false') }} as entry
    inner join {{ ref('child') }} as child using (person_id)
    left join {{ gp_concepts() }} as concept
        on concept.delivery_id = entry.delivery_id
        and concept.concept_id = entry.encounter_type_id
    where
        {{ plausible_date('entry.effective_date') }} is not null
        and {{ not_before_birth('entry.effective_date', 'child.birth_month', 0) }}
        and entry.effective_date <= entry.snapshot_date
),

encounter as (
    select *
    from met
    qualify row_number() over (
        partition by person_id, effective_date, snomed_code, repeat_number order by practice_code
    ) = 1
)

select
    person_id,
    cast(row_number() over (
        partition by person_id order by effective_date, snomed_code nulls last, repeat_number
    ) as integer) as encounter_number,
    cast({{ coarsen_event_date('effective_date', 'birth_month') }} as date) as encounter_date,
    {{ completed_years('birth_month', 'effective_date') }} as encounter_age_years,
    snomed_code as encounter_type_snomed_code
from encounter
