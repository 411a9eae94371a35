select
    person_id,
    academic_year,
    school_id,
    local_authority,
    cast(check_mark as integer) as check_mark,
    check_mark = 25 as is_full_mark,
    pupil_status_code,
    not_taken_reason_code
from {{ results('mtc') }}
qualify {{ one_result('check_mark') }}
