select
    person_id,
    cast(academic_year as integer) as academic_year,
    age_at_start,
    cast(possible as integer) as possible_sessions,
    cast(authorised as integer) as authorised_absence_sessions,
    cast(unauthorised as integer) as unauthorised_absence_sessions,
    cast(authorised + unauthorised as integer) as absence_sessions,
    (authorised + unauthorised) / possible::double as absence_rate,
    -- in whole sessions, so that exactly a tenth is a tenth
    100 * (authorised + unauthorised) >= possible * case
        when academic_year >= 2016 then 10
        when academic_year >= 2011 then 15
        else 20
    end as is_persistently_absent,
    2 * (authorised + unauthorised) >= possible as is_severely_absent,
    cast(term_count as integer) as term_count,
    cast(school_count as integer) as school_count
from {{ ref('int_absence_year') }}
where left_out_because is null
