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
    case
        when academic_year >= 2016 and term_count >= 2
            then 10 * (authorised + unauthorised) >= possible
        else authorised + unauthorised >= {{ persistent_absence_threshold() }}
    end as is_persistently_absent,
    case
        when academic_year >= 2016 and term_count >= 2 then 'tenth of possible sessions'
        when {{ persistent_absence_threshold() }} is not null
            then 'threshold of ' || {{ persistent_absence_threshold() }} || ' sessions'
    end as persistent_absence_rule,
    case when term_count >= 2 then 2 * (authorised + unauthorised) >= possible end
        as is_severely_absent,
    cast(term_count as integer) as term_count,
    cast(school_count as integer) as school_count
from {{ ref('int_absence_year') }}
where left_out_because is null
