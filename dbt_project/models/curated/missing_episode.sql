select
    staged.person_id,
    cast(row_number() over (
        partition by staged.person_id order by staged.missing_start_date, staged.local_authority
    ) as integer) as missing_number,
    staged.local_authority,
    cast({{ coarsen_event_date('staged.missing_start_date', 'child.birth_month') }} as date)
        as missing_start_date,
    cast({{ coarsen_event_date('staged.missing_end_date', 'child.birth_month') }} as date)
        as missing_end_date,
    staged.missing_type_code,
    cast(staged.last_return_year as integer) as last_return_year
from {{ ref('stg_ssda903__missing') }} as staged
inner join {{ ref('child') }} as child using (person_id)
