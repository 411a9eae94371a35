-- Appointments numbered within the child, with exact dates. One sent twice under two record keys
-- (same provider, appointment number and date) is kept once. Administrative events that stop a
-- waiting-time clock are no appointments, and those still to come have not happened.
with appointment as (
    select *
    from {{ ref('stg_sus_op__appointment') }}
    where {{ plausible_date('appointment_date') }} is not null
        and first_attendance_code is distinct from '5'
        and attendance_status_code is distinct from '0'
    qualify row_number() over (
        partition by
            person_id, provider_code, appointment_date,
            coalesce(provider_appointment_number, appointment_id)
        order by {{ newest_submission() }}
    ) = 1
)

select
    appointment.* exclude (birth_month),
    child.birth_month,
    child.death_month,
    {{ in_vital_month('appointment.appointment_date', 'child.birth_month') }}
        as is_date_coarsened,
    cast(row_number() over (
        partition by appointment.person_id
        order by
            appointment.appointment_date, appointment.appointment_time nulls last,
            appointment.appointment_id
    ) as integer) as appointment_number
from appointment
inner join {{ ref('child') }} as child using (person_id)
