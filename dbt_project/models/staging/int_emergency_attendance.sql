-- Attendances numbered within the child, with exact dates. One sent twice under two record keys
-- (same provider, attendance number and date) is kept once.
with attendance as (
    select *
    from {{ ref('stg_sus_ecds__attendance') }}
    where {{ plausible_date('arrival_date') }} is not null
    qualify row_number() over (
        partition by
            person_id, provider_code, arrival_date,
            coalesce(provider_attendance_number, attendance_id)
        order by {{ newest_submission() }}
    ) = 1
)

select
    attendance.* exclude (birth_month),
    child.birth_month,
    child.death_month,
    {{ in_vital_month('attendance.arrival_date', 'child.birth_month') }}
        as is_date_coarsened,
    cast(row_number() over (
        partition by attendance.person_id
        order by
            attendance.arrival_date, attendance.arrival_time nulls last, attendance.attendance_id
    ) as integer) as attendance_number
from attendance
inner join {{ ref('child') }} as child using (person_id)
