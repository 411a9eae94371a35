with issued as (
    select
        staged.*,
        child.birth_month,
        child.death_month,
        -- two of a kind on one day at one practice are two; the copy elsewhere is the same two
        row_number() over (
            partition by
                staged.person_id, staged.effective_date, staged.bnf_code, staged.medicine_code,
                staged.practice_code
            order by staged.quantity_value, staged.duration_days
        ) as repeat_number
    from {{ ref('stg_gp_olids__medication_order') }} as staged
    inner join {{ ref('child') }} as child using (person_id)
    where
        {{ not_before_birth('staged.effective_date', 'child.birth_month', 0) }}
        and {{ plausible_date('staged.effective_date') }} is not null
        and staged.effective_date <= staged.snapshot_date
),

prescribed as (
    select *
    from issued
    qualify row_number() over (
        partition by person_id, effective_date, bnf_code, medicine_code, repeat_number
        order by practice_code
    ) = 1
)

select
    person_id,
    cast(row_number() over (
        partition by person_id
        order by effective_date, bnf_code nulls last, medicine_code nulls last, repeat_number
    ) as integer) as prescription_number,
    cast({{ coarsen_event_date('effective_date', 'birth_month') }} as date)
        as prescription_date,
    {{ completed_years('birth_month', 'effective_date') }} as prescription_age_years,
    bnf_code,
    medicine_code,
    quantity_value,
    duration_days
from prescribed
