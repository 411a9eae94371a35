select
    person_id,
    cast(date_trunc('month', session_date) as date) as attendance_month,
    any_value(academic_year) as academic_year,
    cast(count(*) filter (where is_possible_session) as integer) as possible_sessions,
    cast(count(*) filter (where attendance_group = 'authorised_absence') as integer)
        as authorised_absence_sessions,
    cast(count(*) filter (where attendance_group = 'unauthorised_absence') as integer)
        as unauthorised_absence_sessions,
    cast(count(*) filter (where is_absence) as integer) as absence_sessions,
    cast(count(*) filter (where is_provisional) as integer) as provisional_sessions,
    count(*) filter (where is_absence)
    / nullif(count(*) filter (where is_possible_session), 0)::double as absence_rate,
    cast(count(distinct school_id) as integer) as school_count
from {{ ref('attendance_session') }}
group by person_id, date_trunc('month', session_date)
