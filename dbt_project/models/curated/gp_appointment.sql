-- An appointment is its practice's own: no copy comes along when a child changes practice.
with booked as (
    select
        entry.person_id,
        entry.start_at,
        cast(entry.start_at as date) as appointment_date,
        entry.appointment_status_code,
        entry.practice_code,
        entry.appointment_id,
        child.birth_month,
        child.death_month
    from {{ gp_entries('appointment', is_confidential='false') }} as entry
    inner join {{ ref('child') }} as child using (person_id)
    where
        not coalesce(entry.is_blocked, false)
        and {{ plausible_date('entry.start_at') }} is not null
        and {{ not_before_birth('cast(entry.start_at as date)', 'child.birth_month', 0) }}
    qualify row_number() over (
        partition by entry.delivery_id, entry.appointment_id order by entry.row_number desc
    ) = 1
)

select
    person_id,
    cast(row_number() over (
        partition by person_id order by start_at, practice_code, appointment_id
    ) as integer) as appointment_number,
    cast({{ coarsen_event_date('appointment_date', 'birth_month') }} as date) as appointment_date,
    {{ completed_years('birth_month', 'appointment_date') }} as appointment_age_years,
    appointment_status_code,
    appointment_status_code in ('arrived', 'fulfilled') as is_attended,
    appointment_status_code = 'noshow' as is_missed
from booked
