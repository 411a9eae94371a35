select
    person_id,
    academic_year,
    school_id,
    local_authority,
    case academic_year
        when 2020 then 'centre assessed' when 2021 then 'teacher assessed' else 'examined'
    end as grading,
    attainment_8_score,
    progress_8_score,
    cast(passes_9_to_4 as integer) as passes_9_to_4,
    english_highest_grade_code,
    maths_highest_grade_code,
    is_basics_9_to_4,
    is_basics_9_to_5,
    is_ebacc_9_to_4,
    ebacc_average_points
from {{ results('ks4') }}
qualify row_number() over (
    partition by person_id, academic_year
    order by
        coalesce(is_end_of_key_stage, true) desc,
        attainment_8_score is not null desc,
        {{ newest_return() }}
) = 1
