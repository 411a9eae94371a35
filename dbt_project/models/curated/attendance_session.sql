-- A code may be corrected: the last one delivered counts. The marks of the month of death are left out:
-- the last of them, or how many they are, would tell the day.
select
    session.person_id,
    session.school_urn as school_id,
    session.session_date,
    session.session_code,
    session.delivery_supplier as local_authority,
    {{ academic_year('session.session_date') }} as academic_year,
    session.national_curriculum_year_code,
    session.attendance_code,
    code.attendance_group,
    code.is_possible_session,
    code.is_absence,
    session.attendance_code = 'N' as is_provisional,
    case when code.attendance_code is not null then
        session.session_date >= coalesce(code.valid_from_date, session.session_date)
        and session.session_date <= coalesce(code.valid_to_date, session.session_date)
    end as is_code_in_force
from {{ accepted_person('attendance_daily', 'sessions') }} as session
inner join {{ ref('child') }} as child using (person_id)
left join {{ ref('attendance_code') }} as code using (attendance_code)
where
    session.session_date is not null
    and not {{ in_vital_month('session.session_date', 'child.birth_month') }}
qualify row_number() over (
    partition by
        session.person_id, session.school_urn, session.session_date, session.session_code
    order by
        session.delivery_year desc, session.delivery_month desc, session.delivery_id desc,
        session.row_number desc
) = 1
