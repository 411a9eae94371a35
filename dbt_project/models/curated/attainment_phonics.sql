select
    person_id,
    academic_year,
    local_authority,
    national_curriculum_year_code,
    national_curriculum_year_code = '2' as is_second_check,
    cast(phonics_mark as integer) as phonics_mark,
    phonics_outcome_code,
    -- the mark decides; without one, the outcome the department gives
    coalesce(
        phonics_mark >= 32,
        case when phonics_outcome_code = 'WA' then true when phonics_outcome_code = 'WT' then false end
    ) as is_standard_met
from {{ results('phonics') }}
qualify {{ one_result('coalesce(cast(phonics_mark as varchar), phonics_outcome_code)') }}
