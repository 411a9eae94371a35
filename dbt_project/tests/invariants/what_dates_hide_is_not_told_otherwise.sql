-- The day that a coarse date hides is not told by the dates of a birth admission, nor by days counted
-- from or to it, nor by a date that follows it at a fixed distance.
select 1
from {{ ref('hospital_admission') }}
where is_birth and (day(admission_date) <> 1 or day(discharge_date) <> 1)
union all
select 1
from {{ ref('hospital_admission') }}
where
    is_date_coarsened
    and length_of_stay_days is not null
    and date_trunc('month', admission_date) <> date_trunc('month', discharge_date)
union all
select 1
from {{ ref('emergency_readmission') }} as readmission
inner join {{ ref('hospital_admission') }} as admission using (person_id, admission_number)
where admission.is_date_coarsened and readmission.days_to_readmission is not null
union all
select 1
from {{ ref('ehc_request') }} as request
inner join {{ ref('child') }} as child using (person_id)
where
    (request.days_to_plan is not null or request.is_within_20_weeks is not null)
    and (
        {{ in_vital_month('request.request_received_date', 'child.birth_month') }}
        or {{ in_vital_month('request.plan_start_date', 'child.birth_month') }}
    )
union all
select 1
from {{ ref('mental_health_referral') }} as referral
inner join {{ ref('child') }} as child using (person_id)
where
    referral.wait_days is not null
    and (
        {{ in_vital_month('referral.referral_date', 'child.birth_month') }}
        or {{ in_vital_month('referral.first_contact_date', 'child.birth_month') }}
    )
union all
select 1
from {{ ref('section_47') }} as enquiry
inner join {{ ref('child') }} as child using (person_id)
where
    {{ in_vital_month('enquiry.section_47_start_date', 'child.birth_month') }}
    and day(enquiry.initial_conference_target_date) <> 1
