-- No contact before the month of birth, nor later than a month after that of death. A warning: a
-- wrong date or a wrong link shows here, and hides no data.
{{ config(severity='warn') }}

with event as (
    select person_id, date_trunc('month', appointment_date) as month
    from {{ ref('outpatient_appointment') }}
    where is_attended
    union all
    select person_id, date_trunc('month', arrival_date) from {{ ref('emergency_attendance') }}
)

select 1
from event
inner join {{ ref('child') }} as child using (person_id)
where event.month < child.birth_month or event.month > child.death_month + interval 1 month
