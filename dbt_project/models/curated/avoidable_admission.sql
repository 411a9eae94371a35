with condition as (
    select distinct grouped.person_id, grouped.admission_number, grouped.diagnosis_group
    from {{ ref('hospital_diagnosis_group') }} as grouped
    where grouped.episode_number = 1 and grouped.diagnosis_position = 1
),

admission as (
    select
        spell.person_id,
        spell.admission_number,
        condition.diagnosis_group,
        definition.condition_kind,
        spell.admission_date
    from {{ ref('int_hospital_admission') }} as spell
    inner join condition using (person_id, admission_number)
    inner join {{ ref('avoidable_condition') }} as definition using (diagnosis_group)
    inner join {{ ref('hospital_admission') }} as shown using (person_id, admission_number)
    -- a spell that continues a stay at another hospital is no further admission
    inner join {{ ref('int_hospital_stay_spell') }} as continuous
        on continuous.person_id = spell.person_id
        and continuous.admission_number = spell.admission_number
        and continuous.is_first_of_stay
    where shown.is_unplanned
        and shown.admission_age_years <= definition.last_age_years
),

contact as (
    select person_id, 'emergency_admission' as kind, admission_date as contact_date
    from {{ ref('int_hospital_admission') }}
    inner join {{ ref('int_hospital_stay_spell') }} using (person_id, admission_number)
    where is_unplanned and is_first_of_stay
    union all
    select person_id, 'emergency_attendance', arrival_date
    from {{ ref('int_emergency_attendance') }}
    where attendance_category_code in ('1', '2', '3')
    union all
    select
        person_id,
        case when attendance_status_code = '3' then 'missed' else 'outpatient' end,
        appointment_date
    from {{ ref('int_outpatient_appointment') }}
    where attendance_status_code in ('3', '5', '6')
),

-- What the child had in the 365 days before the day of admission.
year_before as (
    select
        admission.person_id,
        admission.admission_number,
        count(*) filter (contact.kind = 'emergency_admission') as emergency_admissions,
        count(*) filter (contact.kind = 'emergency_attendance') as emergency_attendances,
        count(*) filter (contact.kind = 'outpatient') as outpatient_attendances,
        count(*) filter (contact.kind = 'missed') as missed_appointments
    from admission
    left join contact
        on contact.person_id = admission.person_id
        and contact.contact_date between admission.admission_date - 365
        and admission.admission_date - 1
    group by admission.person_id, admission.admission_number
)

select
    admission.person_id,
    admission.admission_number,
    admission.diagnosis_group,
    admission.condition_kind,
    shown.admission_date,
    shown.admission_age_years,
    shown.length_of_stay_days,
    coalesce(shown.length_of_stay_days = 0, false) as is_zero_night_stay,
    attended.admission_number is not null as is_through_emergency_department,
    cast(year_before.emergency_admissions as integer) as emergency_admissions_year_before,
    cast(year_before.emergency_attendances as integer) as emergency_attendances_year_before,
    cast(year_before.outpatient_attendances as integer) as outpatient_attendances_year_before,
    cast(year_before.missed_appointments as integer) as missed_appointments_year_before
from admission
inner join {{ ref('hospital_admission') }} as shown using (person_id, admission_number)
inner join year_before using (person_id, admission_number)
left join (
    select distinct person_id, admission_number
    from {{ ref('emergency_attendance') }}
    where admission_number is not null
) as attended using (person_id, admission_number)
