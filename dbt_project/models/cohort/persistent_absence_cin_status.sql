-- The social care status is that of the 31 March within the academic year. Where no authority that
-- returned the child's absence has an accepted children in need return for that year, the status is
-- not known rather than "none".
with absence as (
    select *, make_date(academic_year, 3, 31) as year_end
    from {{ ref('absence_year') }}
),

-- A return of autumn gives the absence of the summer before, which is of the year before.
returned_absence as (
    select distinct
        person_id,
        academic_year - (term_number = 1)::integer as academic_year,
        local_authority
    from {{ ref('school_enrolment') }}
    where has_attendance
),

covered as (
    select distinct returned_absence.person_id, returned_absence.academic_year
    from returned_absence
    inner join {{ ref('stg_return_year') }} as returned
        on returned.feed = 'cin_census'
        and returned.collection_year = returned_absence.academic_year
        and returned.local_authority = returned_absence.local_authority
)

select
    absence.person_id,
    absence.academic_year,
    absence.year_end,
    absence.possible_sessions,
    absence.absence_sessions,
    absence.absence_rate,
    absence.is_persistently_absent,
    absence.is_severely_absent,
    case
        when status.social_care_group is not null then status.social_care_group
        when covered.person_id is not null then 'none'
        else 'not known'
    end as social_care_group
from absence
left join {{ ref('social_care_status') }} as status using (person_id, year_end)
left join covered using (person_id, academic_year)
