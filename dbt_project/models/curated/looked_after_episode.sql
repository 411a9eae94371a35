select
    person_id,
    episode_number,
    period_of_care_number,
    local_authority,
    cast({{ coarsen_event_date('episode_start_date', 'birth_month') }} as date)
        as episode_start_date,
    cast({{ coarsen_event_date('episode_end_date', 'birth_month') }} as date)
        as episode_end_date,
    end_basis,
    repair_rule,
    cast({{ coarsen_event_date('delivered_end_date', 'birth_month') }} as date)
        as delivered_end_date,
    delivered_end_reason_code,
    new_episode_reason_code,
    episode_end_reason_code,
    legal_status_code,
    coalesce(is_short_break, false) as is_short_break,
    need_category_code,
    placement_type_code,
    placement_provider_code,
    placement_change_reason_code,
    cast(last_return_year as integer) as last_return_year
from {{ ref('int_looked_after_episode') }}
