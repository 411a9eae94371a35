select
    person_id,
    cast(row_number() over (
        partition by person_id
        order by exclusion.exclusion_start_date, school_id, exclusion_category_code
    ) as integer) as exclusion_number,
    school_id,
    local_authority,
    cast({{ coarsen_event_date('exclusion.exclusion_start_date', 'child.birth_month') }} as date)
        as exclusion_start_date,
    {{ academic_year('exclusion.exclusion_start_date') }} as academic_year,
    exclusion_category_code,
    exclusion_category_code = 'PERM' as is_permanent,
    cast(excluded_session_count as integer) as excluded_sessions,
    exclusion_reason_1_code,
    exclusion_reason_2_code,
    exclusion_reason_3_code,
    sen_provision_code
from {{ ref('stg_school_census__exclusion') }} as exclusion
inner join {{ ref('child') }} as child using (person_id)
