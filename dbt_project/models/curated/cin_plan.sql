select
    plan.person_id,
    cast(row_number() over (
        partition by plan.person_id order by plan.plan_start_date, plan.local_authority
    ) as integer) as plan_number,
    referral.referral_number,
    plan.local_authority,
    cast({{ coarsen_event_date('plan.plan_start_date', 'child.birth_month') }} as date)
        as plan_start_date,
    cast({{ coarsen_event_date('plan.plan_end_date', 'child.birth_month') }} as date)
        as plan_end_date,
    plan.plan_start_date < child.birth_month as is_before_birth,
    cast(plan.last_return_year as integer) as last_return_year
from {{ ref('stg_cin_census__plan') }} as plan
inner join {{ ref('child') }} as child using (person_id)
left join {{ ref('int_cin_referral') }} as referral
    using (person_id, local_authority, referral_date)
where {{ not_before_birth('plan.plan_start_date', 'child.birth_month', 217) }}
