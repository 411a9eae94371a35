-- A warning: a wrong date of birth or a wrong link shows here. The profile is of four- and
-- five-year-olds; nobody sits a school examination before twelve or is asked a plan before birth.
{{ config(severity='warn') }}

with event as (
    select person_id, make_date(academic_year, 7, 1) as month, 4 as least_age
    from {{ ref('attainment_eyfsp') }}
    union all
    select person_id, make_date(academic_year, 7, 1), 9 from {{ ref('attainment_ks2') }}
    union all
    select person_id, make_date(academic_year, 7, 1), 12 from {{ ref('attainment_ks4') }}
    union all
    select person_id, date_trunc('month', request_received_date), 0 from {{ ref('ehc_request') }}
    union all
    select person_id, attendance_month, 3 from {{ ref('attendance_month') }}
)

select 1
from event
inner join {{ ref('child') }} as child using (person_id)
where
    event.month < child.birth_month + to_years(event.least_age)
    or event.month > child.death_month + interval 1 month
