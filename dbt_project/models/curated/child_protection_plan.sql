select
    person_id,
    plan_number,
    referral_number,
    local_authority,
    cast({{ coarsen_event_date('plan_start_date', 'birth_month') }} as date) as plan_start_date,
    cast({{ coarsen_event_date('plan_end_date', 'birth_month') }} as date) as plan_end_date,
    initial_abuse_category_code,
    latest_abuse_category_code,
    cast(previous_plan_count as integer) as previous_plan_count,
    plan_start_date < birth_month as is_before_birth,
    cast(last_return_year as integer) as last_return_year
from {{ ref('int_child_protection_plan') }}
