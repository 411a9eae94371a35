-- A month's grace, as for every other event. A warning: practices write in the records of the dead,
-- and a wrong link shows here.
{{ config(severity='warn') }}

with event as (
    select person_id, date_trunc('month', event_date) as month from {{ ref('gp_event') }}
    union all
    select person_id, date_trunc('month', prescription_date) from {{ ref('prescription') }}
    union all
    select person_id, date_trunc('month', encounter_date) from {{ ref('gp_encounter') }}
    union all
    select person_id, date_trunc('month', referral_date) from {{ ref('gp_referral') }}
    union all
    select person_id, date_trunc('month', registration_start_date) from {{ ref('gp_registration') }}
)

select 1
from event
inner join {{ ref('child') }} as child using (person_id)
where event.month > child.death_month + interval 1 month
