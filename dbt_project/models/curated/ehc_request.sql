with request as (
    select * from {{ ref('stg_sen2__request') }}
    where person_id in (select person_id from {{ ref('child') }})
    qualify row_number() over (
        partition by person_id, local_authority, request_received_date
        order by {{ most_decided('request_outcome_code') }}
    ) = 1
),

assessment as (
    select * from {{ ref('stg_sen2__assessment') }}
    qualify row_number() over (
        partition by person_id, local_authority, request_received_date
        order by {{ most_decided('assessment_outcome_code') }}
    ) = 1
),

plan as (
    select
        person_id, local_authority, request_received_date,
        min({{ plausible_date('plan_start_date') }}) as plan_start_date
    from {{ ref('stg_sen2__named_plan') }}
    group by all
)

select
    request.person_id,
    request.local_authority,
    request.request_received_date,
    request.request_outcome_code,
    request.request_outcome_date,
    request.is_request_mediation,
    request.is_request_tribunal,
    assessment.assessment_outcome_code,
    assessment.assessment_outcome_date,
    assessment.is_20_week_exception,
    plan.plan_start_date,
    cast(
        date_diff('day', request.request_received_date, plan.plan_start_date) as integer
    ) as days_to_plan,
    -- plans with a recognised exception do not count in the measure
    case
        when not coalesce(assessment.is_20_week_exception, false)
            then date_diff('day', request.request_received_date, plan.plan_start_date) <= 140
    end as is_within_20_weeks,
    cast(request.delivery_year as integer) as last_return_year
from request
left join assessment using (person_id, local_authority, request_received_date)
left join plan using (person_id, local_authority, request_received_date)
