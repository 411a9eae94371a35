-- Copies that come along when a child changes practice are one: a day, a specialty, a direction.
with referral as (
    select
        entry.person_id,
        entry.effective_date,
        specialty.snomed_code as specialty_snomed_code,
        priority.snomed_code as priority_snomed_code,
        coalesce(entry.is_outgoing_referral, true) as is_outgoing,
        child.birth_month,
        child.death_month
    from {{ gp_entries('referral_request', is_confidential='false') }} as entry
    inner join {{ ref('child') }} as child using (person_id)
    left join {{ gp_concepts() }} as specialty
        on specialty.delivery_id = entry.delivery_id
        and specialty.concept_id = entry.specialty_id
    left join {{ gp_concepts() }} as priority
        on priority.delivery_id = entry.delivery_id
        and priority.concept_id = entry.priority_id
    where
        {{ plausible_date('entry.effective_date') }} is not null
        and {{ not_before_birth('entry.effective_date', 'child.birth_month', 0) }}
        and entry.effective_date <= entry.snapshot_date
    qualify row_number() over (
        partition by
            entry.person_id, entry.effective_date, specialty.snomed_code,
            coalesce(entry.is_outgoing_referral, true)
        order by priority.snomed_code nulls last, entry.practice_code, entry.row_number
    ) = 1
)

select
    person_id,
    cast(row_number() over (
        partition by person_id
        order by effective_date, specialty_snomed_code nulls last, is_outgoing
    ) as integer) as referral_number,
    cast({{ coarsen_event_date('effective_date', 'birth_month') }} as date) as referral_date,
    {{ completed_years('birth_month', 'effective_date') }} as referral_age_years,
    specialty_snomed_code,
    priority_snomed_code,
    is_outgoing
from referral
