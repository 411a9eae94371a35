-- A pupil who was absent, below the test or unable to take it has not reached the standard; for one
-- who left, takes the test in another year or whose result is missing nothing is known.
with judged as (
    select
        *,
        {%- for subject in ['reading', 'maths', 'grammar'] %}
        coalesce(
            {{ subject }}_scaled_score >= 100,
            case
                when {{ subject }}_test_outcome_code = 'AS' then true
                when {{ subject }}_test_outcome_code in ('NS', 'A', 'B', 'T', 'U', 'H') then false
            end
        ) as is_{{ subject }}_at_standard,
        {%- endfor %}
        {{ judged_expected('writing_assessment_code') }} as is_writing_at_standard
    from {{ results('ks2') }}
)

select
    person_id,
    academic_year,
    school_id,
    local_authority,
    cast(reading_scaled_score as integer) as reading_scaled_score,
    cast(maths_scaled_score as integer) as maths_scaled_score,
    cast(grammar_scaled_score as integer) as grammar_scaled_score,
    reading_test_outcome_code,
    maths_test_outcome_code,
    grammar_test_outcome_code,
    writing_assessment_code,
    science_assessment_code,
    is_reading_at_standard as is_reading_expected,
    is_maths_at_standard as is_maths_expected,
    is_grammar_at_standard as is_grammar_expected,
    is_writing_at_standard as is_writing_expected,
    is_reading_at_standard and is_maths_at_standard and is_writing_at_standard
        as is_combined_expected,
    coalesce(reading_scaled_score >= 110, is_reading_at_standard and null)
    and coalesce(maths_scaled_score >= 110, is_maths_at_standard and null)
    and case
        when writing_assessment_code = 'GDS' then true
        when is_writing_at_standard is not null then false
    end as is_combined_higher,
    is_combined_expected as is_reported_combined_expected
from judged
qualify row_number() over (
    partition by person_id, academic_year
    order by
        coalesce(is_end_of_key_stage, true) desc,
        coalesce(
            cast(reading_scaled_score as varchar), reading_test_outcome_code
        ) is not null desc,
        {{ newest_return() }}
) = 1
