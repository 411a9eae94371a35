-- Absence sessions of each pupil row, summed over register codes.
-- `is_half_term_2` marks the second half of the summer term, which the autumn return gives apart.
with sessions as (
    select
        delivery_id, true as is_on_roll, pupil_on_roll_id as pupil_id,
        false as is_half_term_2, attendance_code, session_count
    from {{ accepted('school_census', 'termly_sessions_on_roll') }}
    union all by name
    select
        delivery_id, false as is_on_roll, pupil_no_longer_on_roll_id as pupil_id,
        false as is_half_term_2, attendance_code, session_count
    from {{ accepted('school_census', 'termly_sessions_off_roll') }}
    union all by name
    select
        delivery_id, true as is_on_roll, pupil_on_roll_id as pupil_id,
        true as is_half_term_2, attendance_code, session_count
    from {{ accepted('school_census', 'summer_half_term_2_sessions_on_roll') }}
    union all by name
    select
        delivery_id, false as is_on_roll, pupil_no_longer_on_roll_id as pupil_id,
        true as is_half_term_2, attendance_code, session_count
    from {{ accepted('school_census', 'summer_half_term_2_sessions_off_roll') }}
)

select
    sessions.delivery_id,
    sessions.is_on_roll,
    sessions.pupil_id,
    sessions.is_half_term_2,
    coalesce(
        sum(sessions.session_count) filter (where code.attendance_group = 'authorised_absence'), 0
    ) as authorised,
    coalesce(
        sum(sessions.session_count) filter (where code.attendance_group = 'unauthorised_absence'), 0
    ) as unauthorised
from sessions
inner join {{ ref('attendance_code') }} as code using (attendance_code)
group by all
