with delivered as (
    select removed.*, child.birth_month, child.death_month
    from {{ ref('int_looked_after_episode_kept') }} as removed
    inner join {{ ref('child') }} as child using (person_id)
    where removed.removal_rule is not null
)

select
    delivered.person_id,
    cast(row_number() over (
        partition by delivered.person_id
        order by
            delivered.local_authority,
            delivered.episode_start_date,
            delivered.return_year,
            delivered.delivery_id,
            delivered.row_number
    ) as integer) as removed_number,
    delivered.removal_rule as repair_rule,
    standing.episode_number,
    delivered.local_authority,
    cast(delivered.return_year as integer) as return_year,
    cast({{ coarsen_event_date('delivered.episode_start_date', 'delivered.birth_month') }}
        as date) as delivered_start_date,
    cast({{ coarsen_event_date('delivered.episode_end_date', 'delivered.birth_month') }}
        as date) as delivered_end_date,
    delivered.episode_end_reason_code as delivered_end_reason_code,
    {%- for code in episode_codes() %}
    delivered.{{ code }}{{ ',' if not loop.last }}
    {%- endfor %}
from delivered
left join {{ ref('int_looked_after_episode') }} as standing
    on standing.person_id = delivered.person_id
    and standing.local_authority = delivered.local_authority
    and standing.episode_start_date = delivered.standing_start_date
