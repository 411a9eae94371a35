select
    person_id,
    appointment_number,
    provider_code,
    cast({{ coarsen_event_date('appointment_date', 'birth_month') }} as date)
        as appointment_date,
    is_date_coarsened,
    case
        when appointment_date >= birth_month
            then {{ completed_years('birth_month', 'appointment_date') }}
    end as appointment_age_years,
    treatment_function_code,
    main_specialty_code,
    case
        when first_attendance_code in ('1', '3') then true
        when first_attendance_code in ('2', '4') then false
    end as is_first_appointment,
    case
        when first_attendance_code in ('1', '2') then true
        when first_attendance_code in ('3', '4') then false
    end as is_face_to_face,
    attendance_status_code,
    coalesce(attendance_status_code in ('5', '6'), false) as is_attended,
    coalesce(attendance_status_code = '3', false) as is_missed,
    case attendance_status_code when '2' then 'patient' when '4' then 'provider' end
        as cancelled_by,
    attendance_outcome_code,
    referral_source_code,
    priority_code,
    cast({{ coarsen_event_date(plausible_date('referral_received_date'), 'birth_month') }}
        as date) as referral_received_date
from {{ ref('int_outpatient_appointment') }}
