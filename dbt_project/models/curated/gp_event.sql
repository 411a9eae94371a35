with entry as (
    -- a child who moved brings copies along: one entry each concept, day and result
    select
        staged.person_id,
        staged.effective_date,
        staged.snomed_code,
        staged.result_value,
        staged.result_unit,
        bool_or(staged.is_problem) as is_problem,
        any_value(child.birth_month) as birth_month,
        any_value(child.death_month) as death_month
    from {{ ref('stg_gp_olids__observation') }} as staged
    inner join {{ ref('child') }} as child using (person_id)
    where
        {{ not_before_birth('staged.effective_date', 'child.birth_month', 0) }}
        and {{ plausible_date('staged.effective_date') }} is not null
        and staged.effective_date <= staged.snapshot_date
    group by
        staged.person_id, staged.effective_date, staged.snomed_code, staged.result_value,
        staged.result_unit
)

select
    person_id,
    cast(row_number() over (
        partition by person_id
        order by effective_date, snomed_code, result_value nulls last, result_unit nulls last
    ) as integer) as event_number,
    cast({{ coarsen_event_date('effective_date', 'birth_month') }} as date) as event_date,
    {{ completed_years('birth_month', 'effective_date') }} as event_age_years,
    snomed_code,
    result_value,
    result_unit,
    is_problem
from entry
