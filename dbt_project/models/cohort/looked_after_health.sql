-- A year of record is 1 April to 31 March. Events count on days on which the child was looked
-- after; a period left open counts up to the year in which it was last returned.
with period as (
    select
        person_id,
        local_authority,
        period_start_date,
        coalesce(
            period_end_date, greatest(period_start_date, make_date(last_return_year, 3, 31))
        ) as period_end_date,
        -- the care went on, as far as the newest return of it tells
        end_basis in ('open', 'not_returned') as is_end_unknown,
        last_return_year
    from {{ ref('looked_after_period_of_care') }}
    where not is_short_break
),

cared as (
    select
        period.person_id,
        returned.collection_year as return_year,
        returned.year_end,
        greatest(period.period_start_date, returned.year_end - interval 1 year + interval 1 day)
            ::date as from_date,
        least(period.period_end_date, returned.year_end) as to_date,
        period.period_end_date > returned.year_end or (
            period.is_end_unknown and returned.collection_year <= period.last_return_year
        ) as is_looked_after_at_year_end
    from period
    inner join {{ ref('stg_return_year') }} as returned
        on returned.feed = 'ssda903'
        and returned.local_authority = period.local_authority
        and period.period_start_date <= returned.year_end
        and period.period_end_date > returned.year_end - interval 1 year
),

-- A day in two periods (ended and begun again, or of two authorities) is one day in care.
counted as (
    select
        *,
        max(to_date) over (
            partition by person_id, return_year order by from_date, to_date
            rows between unbounded preceding and 1 preceding
        ) as counted_to_date
    from cared
),

child_year as (
    select
        person_id,
        return_year,
        any_value(year_end) as year_end,
        sum(greatest(
            date_diff('day', greatest(from_date, counted_to_date + 1), to_date) + 1, 0
        )) as days_looked_after,
        bool_or(is_looked_after_at_year_end) as is_looked_after_at_year_end
    from counted
    group by person_id, return_year
),

{% set sources = [
    ('admission', ref('hospital_admission'), 'admission_date', 'not event.is_birth'),
    ('emergency_admission', ref('hospital_admission'), 'admission_date', 'event.is_unplanned'),
    ('attendance', ref('emergency_attendance'), 'arrival_date', 'event.is_unplanned'),
    ('mental_health_contact', ref('mental_health_contact'), 'contact_date', 'event.is_attended'),
] -%}
{% for name, relation, date, condition in sources -%}
{{ name }} as (
    -- one event is one however many periods of the child's hold its day
    select cared.person_id, cared.return_year, count(distinct event.event_key) as events
    from cared
    inner join (
        select person_id, {{ date }} as event_date, hash(event) as event_key
        from {{ relation }} as event
        where {{ condition }}
    ) as event
        on event.person_id = cared.person_id
        and event.event_date between cared.from_date and cared.to_date
    group by cared.person_id, cared.return_year
),

{% endfor -%}
told as (
    -- of a child of two authorities in one year, what either found counts
    select
        person_id,
        return_year,
        max(sdq_score) as sdq_score,
        bool_or(is_immunised) as is_immunised,
        bool_or(is_teeth_check_done) as is_teeth_check_done,
        bool_or(is_health_assessment_done) as is_health_assessment_done
    from {{ ref('looked_after_outcome') }}
    group by person_id, return_year
)

select
    child_year.person_id,
    cast(child_year.return_year as integer) as return_year,
    case
        when child.birth_month <= child_year.year_end
            then {{ completed_years('child.birth_month', 'child_year.year_end') }}
    end as age_at_year_end,
    cast(child_year.days_looked_after as integer) as days_looked_after,
    child_year.is_looked_after_at_year_end,
    told.person_id is not null as has_outcomes,
    told.sdq_score,
    told.is_immunised,
    told.is_teeth_check_done,
    told.is_health_assessment_done,
    {% for name, relation, date, condition in sources -%}
    cast(coalesce({{ name }}.events, 0) as integer) as {{ name }}_count{{ ',' if not loop.last }}
    {% endfor -%}
from child_year
inner join {{ ref('child') }} as child using (person_id)
left join told using (person_id, return_year)
{% for name, relation, date, condition in sources -%}
left join {{ name }} using (person_id, return_year)
{% endfor -%}
