-- Only referrals, and what follows from them, may come before birth (checked when they are built).
-- A warning: a wrong date of birth or a wrong link shows here, and hides no data.
{{ config(severity='warn') }}

with event as (
    select person_id, date_trunc('month', episode_start_date) as month
    from {{ ref('looked_after_episode') }}
    union all
    select person_id, date_trunc('month', admission_date) from {{ ref('hospital_admission') }}
    union all
    select person_id, date_trunc('month', exclusion_start_date) from {{ ref('exclusion') }}
    union all
    select person_id, make_date(academic_year - 1, 9, 1) from {{ ref('school_enrolment') }}
)

select 1
from event
inner join {{ ref('child') }} as child using (person_id)
where event.month < child.birth_month
