with request as (
    select * from {{ ref('stg_sen2__request') }}
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
),

-- days from or to a date that shows only its month would show its day
timed as (
    select
        plan.*,
        case
            when not {{ in_vital_month('plan.request_received_date', 'child.birth_month') }}
                and not {{ in_vital_month('plan.plan_start_date', 'child.birth_month') }}
                then date_diff('day', plan.request_received_date, plan.plan_start_date)
        end as days_to_plan
    from plan
    inner join {{ ref('child') }} as child using (person_id)
)

select
    request.person_id,
    request.local_authority,
    request.request_received_date,
    request.request_outcome_code,
    cast({{ coarsen_event_date('request.request_outcome_date', 'child.birth_month') }} as date)
        as request_outcome_date,
    request.is_request_mediation,
    request.is_request_tribunal,
    assessment.assessment_outcome_code,
    cast({{ coarsen_event_date('assessment.assessment_outcome_date', 'child.birth_month') }} as date)
        as assessment_outcome_date,
    assessment.is_20_week_exception,
    cast({{ coarsen_event_date('timed.plan_start_date', 'child.birth_month') }} as date)
        as plan_start_date,
    cast(timed.days_to_plan as integer) as days_to_plan,
    -- plans with a recognised exception do not count in the measure
    case
        when not coalesce(assessment.is_20_week_exception, false)
            then timed.days_to_plan <= 140
    end as is_within_20_weeks,
    cast(request.delivery_year as integer) as last_return_year
from request
inner join {{ ref('child') }} as child using (person_id)
left join assessment using (person_id, local_authority, request_received_date)
left join timed using (person_id, local_authority, request_received_date)
