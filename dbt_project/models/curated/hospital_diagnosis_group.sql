with candidate as (
    select distinct
        diagnosis.person_id,
        diagnosis.admission_number,
        diagnosis.episode_number,
        diagnosis.diagnosis_position,
        definition.diagnosis_group,
        definition.companion_system,
        definition.companion_from,
        definition.companion_to
    from {{ ref('hospital_diagnosis') }} as diagnosis
    inner join {{ ref('icd10_group') }} as definition
        on {{ in_code_range('diagnosis.icd10_code', 'definition.code_from', 'definition.code_to') }}
        and (definition.position = 'any' or diagnosis.is_primary)
),

companion as (
    select person_id, admission_number, episode_number, 'icd10' as system, icd10_code as code
    from {{ ref('hospital_diagnosis') }}
    union all by name
    select person_id, admission_number, episode_number, 'opcs4' as system, opcs4_code as code
    from {{ ref('hospital_procedure') }}
)

select distinct
    candidate.person_id,
    candidate.admission_number,
    candidate.episode_number,
    candidate.diagnosis_position,
    candidate.diagnosis_group
from candidate
where
    candidate.companion_system is null
    or exists (
        select 1
        from companion
        where
            companion.person_id = candidate.person_id
            and companion.admission_number = candidate.admission_number
            and companion.episode_number = candidate.episode_number
            and companion.system = candidate.companion_system
            and {{ in_code_range('companion.code', 'candidate.companion_from',
                                 'candidate.companion_to') }}
    )
