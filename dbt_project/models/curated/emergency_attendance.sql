with diagnosed as (
    select
        person_id,
        attendance_number,
        bool_or(is_injury_related) as is_injury_related,
        -- the primary diagnosis, or the first where none is marked
        arg_min(
            diagnosis_snomed_code,
            diagnosis_position + case when is_primary then 0 else 1000 end
        ) as first_diagnosis_snomed_code
    from {{ ref('emergency_diagnosis') }}
    group by person_id, attendance_number
),

concern as (
    select distinct attendance.person_id, attendance.attendance_number
    from {{ ref('int_emergency_attendance') }} as attendance
    {{ of_records('attendance', 'sus_ecds', 'safeguarding_concern', 'attendance_id') }}
    where safeguarding_concern.concern_snomed_code is not null
),

-- The emergency admission to the same provider that began on the day of arrival or the next.
admitted as (
    select
        attendance.person_id,
        attendance.attendance_number,
        arg_min(admission.admission_number, admission.admission_date) as admission_number
    from {{ ref('int_emergency_attendance') }} as attendance
    inner join {{ ref('int_hospital_admission') }} as admission
        on admission.person_id = attendance.person_id
        and admission.provider_code = attendance.provider_code
        and {{ is_emergency_method('admission.admission_method_code') }}
        and not admission.is_birth
        and admission.admission_date between attendance.arrival_date and attendance.arrival_date + 1
    group by attendance.person_id, attendance.attendance_number
)

select
    attendance.person_id,
    attendance.attendance_number,
    attendance.provider_code,
    cast({{ coarsen_event_date('attendance.arrival_date', 'attendance.birth_month') }} as date)
        as arrival_date,
    attendance.is_date_coarsened,
    case
        when attendance.arrival_date >= attendance.birth_month
            then {{ completed_years('attendance.birth_month', 'attendance.arrival_date') }}
    end as arrival_age_years,
    attendance.department_type_code,
    coalesce(attendance.department_type_code = '01', false) as is_major_department,
    attendance.attendance_category_code,
    coalesce(attendance.attendance_category_code in ('1', '2', '3'), false) as is_unplanned,
    attendance.arrival_mode_snomed_code,
    attendance.acuity_snomed_code,
    attendance.chief_complaint_snomed_code,
    diagnosed.first_diagnosis_snomed_code,
    coalesce(diagnosed.is_injury_related, false) as is_injury_related,
    attendance.injury_intent_snomed_code,
    attendance.injury_mechanism_snomed_code,
    concern.person_id is not null as is_safeguarding_concern_recorded,
    cast(attendance.minutes_to_initial_assessment as integer) as minutes_to_initial_assessment,
    cast(attendance.minutes_to_departure as integer) as minutes_to_departure,
    attendance.minutes_to_departure > 240 as is_over_four_hours,
    attendance.discharge_status_snomed_code,
    attendance.discharge_destination_snomed_code,
    attendance.decision_to_admit_date is not null as is_decision_to_admit,
    admitted.admission_number
from {{ ref('int_emergency_attendance') }} as attendance
left join diagnosed using (person_id, attendance_number)
left join concern using (person_id, attendance_number)
left join admitted using (person_id, attendance_number)
