-- No mental health contact before birth, and nothing after death beyond a month's grace. A warning:
-- a wrong date of birth, a parent's contact or a wrong link shows here, and hides no data.
{{ config(severity='warn') }}

with event as (
    select person_id, date_trunc('month', referral_date) as month, true as is_after_birth
    from {{ ref('mental_health_referral') }}
    union all
    select person_id, date_trunc('month', contact_date), true
    from {{ ref('mental_health_contact') }}
    where is_attended
    union all
    select person_id, date_trunc('month', contact_date), false
    from {{ ref('community_contact') }}
    where is_attended
)

select 1
from event
inner join {{ ref('child') }} as child using (person_id)
where
    event.month > child.death_month + interval 1 month
    or (event.is_after_birth and event.month < child.birth_month)
