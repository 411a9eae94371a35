select
    person_id,
    assessment_number,
    referral_number,
    local_authority,
    cast({{ coarsen_event_date('assessment_start_date', 'birth_month') }} as date)
        as assessment_start_date,
    cast({{ coarsen_event_date('internal_review_date', 'birth_month') }} as date)
        as internal_review_date,
    cast({{ coarsen_event_date('authorisation_date', 'birth_month') }} as date)
        as authorisation_date,
    cast(last_return_year as integer) as last_return_year
from {{ ref('int_cin_assessment') }}
