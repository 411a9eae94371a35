-- Deaths under 25 by the register, or by the spine or another source where the register is silent.
with dead as (
    select
        child.person_id,
        child.birth_month,
        coalesce(death.death_month, review.death_month, child.death_month) as death_month,
        death.person_id is not null as is_registered,
        review.person_id is not null as is_reviewed,
        death.is_neonatal,
        death.registration_lag_months,
        death.underlying_cause_icd10_code,
        death.is_external_cause,
        review.category_code as review_category_code,
        review.is_expected_death
    from {{ ref('child') }} as child
    left join {{ ref('death') }} as death using (person_id)
    left join {{ ref('child_death_review') }} as review using (person_id)
),

aged as (
    select
        *,
        case
            when birth_month <= death_month
                then {{ completed_years('birth_month', 'death_month') }}
        end as death_age_years
    from dead
    where death_month is not null
),

care as (
    select aged.person_id, bool_or(true) as was_looked_after
    from aged
    inner join {{ ref('looked_after_period_of_care') }} as period
        on aged.person_id = period.person_id
        and date_trunc('month', period.period_start_date) <= aged.death_month
    group by aged.person_id
),

protection as (
    select aged.person_id, bool_or(true) as had_child_protection_plan
    from aged
    inner join {{ ref('child_protection_plan') }} as plan
        on aged.person_id = plan.person_id
        and date_trunc('month', plan.plan_start_date) <= aged.death_month
    group by aged.person_id
),

need as (
    select aged.person_id, bool_or(
        not referral.is_no_further_action and not referral.is_assessed_not_in_need
    ) as was_child_in_need
    from aged
    inner join {{ ref('cin_referral') }} as referral
        on aged.person_id = referral.person_id
        and date_trunc('month', referral.referral_date) <= aged.death_month
    group by aged.person_id
)

select
    aged.person_id,
    aged.death_month,
    aged.death_age_years,
    case
        when aged.is_neonatal then 'neonatal'
        when aged.death_age_years < 1 and aged.is_registered then 'post-neonatal'
        when aged.death_age_years < 1 then 'under 1'
        when aged.death_age_years < 5 then '1 to 4'
        when aged.death_age_years < 10 then '5 to 9'
        when aged.death_age_years < 15 then '10 to 14'
        when aged.death_age_years < 18 then '15 to 17'
        when aged.death_age_years < 25 then '18 to 24'
    end as death_age_group,
    aged.is_registered,
    aged.is_reviewed,
    aged.registration_lag_months,
    aged.underlying_cause_icd10_code,
    aged.is_external_cause,
    aged.review_category_code,
    aged.is_expected_death,
    birth.gestation_weeks,
    birth.birth_weight_grams,
    coalesce(care.was_looked_after, false) as was_looked_after,
    coalesce(protection.had_child_protection_plan, false) as had_child_protection_plan,
    coalesce(need.was_child_in_need, false) as was_child_in_need
from aged
left join {{ ref('birth') }} as birth using (person_id)
left join care using (person_id)
left join protection using (person_id)
left join need using (person_id)
where aged.death_age_years < 25 or aged.death_age_years is null
