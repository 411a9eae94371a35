-- A placement is a run of episodes: every new episode starts one, except a change of legal status
-- alone (reason L) within the period of care.
with stepped as (
    select
        *,
        count_if(is_period_start or coalesce(new_episode_reason_code <> 'L', true)) over (
            partition by person_id, local_authority order by episode_number
        ) as step
    from {{ ref('int_looked_after_episode') }}
),

placement as (
    select
        person_id,
        local_authority,
        period_of_care_number,
        any_value(birth_month) as birth_month,
        any_value(death_month) as death_month,
        min(episode_start_date) as start_date,
        case when bool_and(episode_end_date is not null) then max(episode_end_date) end as end_date,
        arg_max(end_basis, episode_number) as end_basis,
        arg_min(new_episode_reason_code, episode_number) as start_reason_code,
        arg_min(placement_type_code, episode_number) as placement_type_code,
        arg_min(placement_provider_code, episode_number) as placement_provider_code,
        arg_max(placement_change_reason_code, episode_number)
            filter (where placement_change_reason_code is not null) as change_reason_code,
        arg_min(legal_status_code, episode_number) as first_legal_status_code,
        bool_or(coalesce(is_short_break, false)) as is_short_break,
        min(episode_number) as first_episode_number,
        count(*) as episode_count,
        max(last_return_year) as last_return_year
    from stepped
    group by person_id, local_authority, period_of_care_number, step
),

distance as (
    -- two placements of a child may start on a day; the longer way is kept
    select
        person_id,
        delivery_supplier as local_authority,
        placement_start_date as start_date,
        max(placement_distance) as distance_miles
    from {{ newest_extract('cla_placement') }}
    group by person_id, local_authority, start_date
),

coarsened as (
    select
        * exclude (start_date, end_date),
        cast({{ coarsen_event_date('start_date', 'birth_month') }} as date)
            as placement_start_date,
        cast({{ coarsen_event_date('end_date', 'birth_month') }} as date) as placement_end_date
    from placement
    left join distance using (person_id, local_authority, start_date)
)

select
    person_id,
    cast(row_number() over (
        partition by person_id order by first_episode_number
    ) as integer) as placement_number,
    period_of_care_number,
    local_authority,
    placement_start_date,
    placement_end_date,
    -- from the dates shown here, so that a duration never gives back a coarsened date
    cast(date_diff(
        'day',
        placement_start_date,
        coalesce(
            placement_end_date, greatest(placement_start_date, make_date(last_return_year, 3, 31))
        )
    ) as integer) as placement_days,
    placement_end_date is null as is_open,
    end_basis,
    start_reason_code,
    coalesce(start_reason_code in ('T', 'U'), false) as is_same_carer,
    placement_type_code,
    placement_provider_code,
    change_reason_code,
    first_legal_status_code,
    is_short_break,
    distance_miles,
    first_episode_number,
    cast(episode_count as integer) as episode_count,
    cast(last_return_year as integer) as last_return_year
from coarsened
