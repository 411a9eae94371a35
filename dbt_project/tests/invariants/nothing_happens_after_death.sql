-- A month's grace: returns are dated by month of death. A warning: a wrong link shows here.
{{ config(severity='warn') }}

with event as (
    select person_id, date_trunc('month', episode_start_date) as month
    from {{ ref('looked_after_episode') }}
    union all
    select person_id, date_trunc('month', admission_date) from {{ ref('hospital_admission') }}
    union all
    select person_id, date_trunc('month', exclusion_start_date) from {{ ref('exclusion') }}
    union all
    select person_id, date_trunc('month', referral_date) from {{ ref('cin_referral') }}
)

select 1
from event
inner join {{ ref('child') }} as child using (person_id)
where event.month > child.death_month + interval 1 month
