-- Absence comes a term in arrears, so a return may rightly hold codes that have ended since; one that
-- did not hold in the term it reports is a mistake of the school. It still counts as what it means.
{{ config(severity='warn') }}

with reported as (
    {% for table in [
        'termly_sessions_on_roll', 'termly_sessions_off_roll',
        'summer_half_term_2_sessions_on_roll', 'summer_half_term_2_sessions_off_roll',
    ] %}
    select
        attendance_code,
        -- a day in the term before the census: summer, autumn or spring
        case delivery_term
            when 1 then make_date(cast(delivery_year as integer) - 1, 6, 1)
            when 2 then make_date(cast(delivery_year as integer) - 1, 10, 1)
            when 3 then make_date(cast(delivery_year as integer), 2, 1)
        end as term_date
    from {{ accepted('school_census', table) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select 1
from reported
inner join {{ ref('attendance_code') }} as code using (attendance_code)
where reported.term_date < code.valid_from_date or reported.term_date > code.valid_to_date
