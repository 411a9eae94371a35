with given as (
    -- codes that name no dose and codes that do may stand for one visit
    select
        event.person_id,
        known.vaccine,
        event.event_date,
        max(known.dose_number) as recorded_dose_number
    from {{ ref('gp_event') }} as event
    inner join {{ ref('gp_immunisation_code') }} as known using (snomed_code)
    group by event.person_id, known.vaccine, event.event_date
)

select
    given.person_id,
    cast(row_number() over (
        partition by given.person_id order by given.event_date, given.vaccine
    ) as integer) as immunisation_number,
    given.vaccine,
    given.event_date as immunisation_date,
    cast(date_sub('month', child.birth_month, given.event_date) as integer) as age_months,
    given.recorded_dose_number,
    cast(row_number() over (
        partition by given.person_id, given.vaccine order by given.event_date
    ) as integer) as course_position
from given
inner join {{ ref('child') }} as child using (person_id)
