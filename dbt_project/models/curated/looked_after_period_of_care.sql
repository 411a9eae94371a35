with summed as (
    select
        person_id,
        period_of_care_number,
        local_authority,
        any_value(birth_month) as birth_month,
        any_value(death_month) as death_month,
        bool_or(coalesce(is_short_break, false)) as is_short_break,
        min(episode_start_date) as start_date,
        -- open when the last episode of the chain is
        case when bool_and(episode_end_date is not null) then max(episode_end_date) end as end_date,
        arg_min(new_episode_reason_code, episode_number) as first_reason_code,
        arg_max(episode_end_reason_code, episode_number)
            filter (where episode_end_reason_code is not null) as last_end_reason_code,
        arg_max(end_basis, episode_number) as end_basis,
        arg_min(legal_status_code, episode_number) as first_legal_status_code,
        arg_min(need_category_code, episode_number) as first_need_category_code,
        arg_max(placement_type_code, episode_number) as last_placement_type_code,
        count(*) as episode_count,
        max(last_return_year) as last_return_year
    from {{ ref('int_looked_after_episode') }}
    group by person_id, period_of_care_number, local_authority
),

coarsened as (
    select
        * exclude (start_date, end_date),
        cast({{ coarsen_event_date('start_date', 'birth_month') }} as date)
            as period_start_date,
        cast({{ coarsen_event_date('end_date', 'birth_month') }} as date) as period_end_date
    from summed
)

select
    person_id,
    period_of_care_number,
    local_authority,
    period_start_date,
    period_end_date,
    -- from the dates shown here, so that a duration never gives back a coarsened date
    cast(date_diff(
        'day',
        period_start_date,
        coalesce(
            period_end_date, greatest(period_start_date, make_date(last_return_year, 3, 31))
        )
    ) as integer) as days_looked_after,
    period_end_date is null as is_open,
    end_basis,
    is_short_break,
    coalesce(first_reason_code = 'S', false) as is_start_reported,
    case when end_basis = 'reported' then last_end_reason_code end as period_end_reason_code,
    first_legal_status_code,
    first_need_category_code,
    last_placement_type_code,
    cast(episode_count as integer) as episode_count,
    cast(last_return_year as integer) as last_return_year
from coarsened
