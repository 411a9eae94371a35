-- Child protection plans numbered within the child, with exact dates and their referral.
select
    plan.*,
    child.birth_month,
    child.death_month,
    referral.referral_number,
    cast(row_number() over (
        partition by plan.person_id order by plan.plan_start_date, plan.local_authority
    ) as integer) as plan_number
from {{ ref('stg_cin_census__child_protection_plan') }} as plan
inner join {{ ref('child') }} as child using (person_id)
left join {{ ref('int_cin_referral') }} as referral
    using (person_id, local_authority, referral_date)
where {{ not_before_birth('plan.plan_start_date', 'child.birth_month', 217) }}
