select
    staged.person_id,
    cast(row_number() over (
        partition by staged.person_id
        order by
            staged.early_help_start_date, staged.local_authority, staged.early_help_episode_id
    ) as integer) as early_help_number,
    staged.local_authority,
    cast({{ coarsen_event_date('staged.early_help_start_date', 'child.birth_month') }} as date)
        as early_help_start_date,
    cast({{ coarsen_event_date('staged.early_help_end_date', 'child.birth_month') }} as date)
        as early_help_end_date,
    staged.is_open,
    staged.delivery_month as extract_month
from {{ ref('stg_ssd__early_help') }} as staged
inner join {{ ref('child') }} as child using (person_id)
where {{ not_before_birth('staged.early_help_start_date', 'child.birth_month', 217) }}
