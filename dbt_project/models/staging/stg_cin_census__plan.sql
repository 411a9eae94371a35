-- One row per person, local authority and plan start: the newest return is kept.
select
    plan.person_id,
    plan.delivery_supplier as local_authority,
    link.referral_date,
    {{ plausible_date('plan.plan_start_date') }} as plan_start_date,
    case
        when {{ plausible_date('plan.plan_end_date') }} < plan.plan_start_date
            then plan.plan_start_date
        else {{ plausible_date('plan.plan_end_date') }}
    end as plan_end_date,
    plan.delivery_year as last_return_year
from {{ accepted_person('cin_census', 'cin_plan_dates') }} as plan
left join {{ ref('stg_cin_census__referral_link') }} as link
    using (delivery_id, record_key, cin_details_id)
where {{ plausible_date('plan.plan_start_date') }} is not null
qualify row_number() over (
    partition by plan.person_id, plan.delivery_supplier, {{ plausible_date('plan.plan_start_date') }}
    order by plan.delivery_year desc, plan.delivery_id desc, plan.row_number desc
) = 1
