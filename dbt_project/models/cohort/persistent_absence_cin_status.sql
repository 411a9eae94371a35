-- The social care status is that of the 31 March within the academic year. Where no authority that
-- returned the child's absence has an accepted children in need return for that year, the status is
-- not known rather than "none".
with absence as (
    select
        absence.*,
        make_date(absence.academic_year, 3, 31) as year_end,
        candidate.local_authorities
    from {{ ref('absence_year') }} as absence
    inner join {{ ref('int_absence_year') }} as candidate
        on candidate.person_id = absence.person_id
        and candidate.academic_year = absence.academic_year
),

covered as (
    select distinct absence.person_id, absence.academic_year
    from absence
    inner join {{ ref('stg_return_year') }} as returned
        on returned.feed = 'cin_census'
        and returned.year_end = absence.year_end
        and list_contains(absence.local_authorities, returned.local_authority)
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
