{%- set subjects = ['reading', 'writing', 'maths', 'science'] %}
select
    person_id,
    academic_year,
    school_id,
    local_authority,
    academic_year <= 2023 as is_statutory,
    {%- for subject in subjects %}
    {{ subject }}_outcome_code,
    {{ judged_expected(subject ~ '_outcome_code') }} as is_{{ subject }}_expected{{ ',' if not loop.last }}
    {%- endfor %}
from {{ results('ks1') }}
qualify {{ one_result('coalesce(reading_outcome_code, writing_outcome_code, maths_outcome_code)') }}
