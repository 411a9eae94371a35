select
    person_id,
    referral_number,
    local_authority,
    cast({{ coarsen_event_date('referral_date', 'birth_month') }} as date) as referral_date,
    cast({{ coarsen_event_date('closure_date', 'birth_month') }} as date) as closure_date,
    referral_source_code,
    primary_need_code,
    closure_reason_code,
    cast({{ coarsen_event_date('initial_conference_date', 'birth_month') }} as date)
        as initial_conference_date,
    is_no_further_action,
    coalesce(closure_reason_code = 'RC8', false) as is_assessed_not_in_need,
    coalesce(referral_date < birth_month, false) as is_before_birth,
    cast(last_return_year as integer) as last_return_year
from {{ ref('int_cin_referral') }}
