with first_diagnosis as (
    select person_id, admission_number, icd10_code
    from {{ ref('hospital_diagnosis') }}
    where episode_number = 1 and is_primary
),

episodes as (
    select person_id, admission_number, count(*) as episode_count
    from {{ ref('int_hospital_episode') }}
    group by person_id, admission_number
)

select
    admission.person_id,
    admission.admission_number,
    admission.provider_code,
    cast(case
        when admission.is_date_coarsened then date_trunc('month', admission.admission_date)
        else admission.admission_date
    end as date) as admission_date,
    cast(case
        when admission.is_date_coarsened then date_trunc('month', admission.discharge_date)
        else admission.discharge_date
    end as date) as discharge_date,
    admission.is_date_coarsened,
    -- a stay of two nights that shows two months would show its days
    cast(case
        when not admission.is_date_coarsened
            or date_trunc('month', admission.admission_date)
            = date_trunc('month', admission.discharge_date)
            then date_diff('day', admission.admission_date, admission.discharge_date)
    end as integer) as length_of_stay_days,
    case
        when admission.admission_date >= admission.birth_month
            then {{ completed_years('admission.birth_month', 'admission.admission_date') }}
    end as admission_age_years,
    admission.admission_method_code,
    case
        when admission.is_birth then 'birth'
        when admission.admission_method_code in ('11', '12', '13') then 'elective'
        when {{ is_transfer_method('admission.admission_method_code') }} then 'transfer'
        when {{ is_emergency_method('admission.admission_method_code') }} then 'emergency'
        when admission.admission_method_code in ('31', '32') then 'maternity'
    end as admission_type,
    {{ is_emergency_method('admission.admission_method_code') }} as is_emergency,
    {{ is_transfer_method('admission.admission_method_code') }} as is_transfer,
    admission.is_birth,
    admission.is_unplanned,
    continuous.stay_number,
    admission.patient_classification_code,
    admission.admission_source_code,
    admission.discharge_method_code,
    admission.discharge_destination_code,
    first_diagnosis.icd10_code as primary_icd10_code,
    cast(coalesce(episodes.episode_count, 0) as integer) as episode_count
from {{ ref('int_hospital_admission') }} as admission
left join first_diagnosis using (person_id, admission_number)
left join episodes using (person_id, admission_number)
inner join {{ ref('int_hospital_stay_spell') }} as continuous using (person_id, admission_number)
