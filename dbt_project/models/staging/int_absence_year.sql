-- Sessions possible and missed per child and academic year, and why a child-year is not used.
--
-- A return gives the absence of the term before: the spring return the autumn term and the summer
-- return the spring term of the same academic year; the autumn return both halves of the summer
-- term of the academic year before. Enrolments are summed, so a dually registered pupil counts
-- once with the sessions of both schools.
with term as (
    select
        pupil.person_id,
        pupil.school_id,
        pupil.delivery_year - (pupil.delivery_term = 1)::integer as academic_year,
        case pupil.delivery_term when 1 then 3 when 2 then 1 when 3 then 2 end as absence_term,
        -- a pupil in year 12 in autumn, or who left in year 11, was in year 11 the summer before
        pupil.delivery_term = 1
        and case
            when pupil.is_on_roll then pupil.national_curriculum_year_code = '12'
            else pupil.national_curriculum_year_code = '11'
        end as is_year_11_summer,
        coalesce(pupil.possible_sessions, 0)
        + coalesce(pupil.summer_half_term_2_possible_sessions, 0) as possible,
        coalesce(termly.authorised, pupil.authorised_absence_sessions, 0)
        + coalesce(half.authorised, pupil.summer_half_term_2_authorised_absence_sessions, 0)
            as authorised,
        coalesce(termly.unauthorised, pupil.unauthorised_absence_sessions, 0)
        + coalesce(half.unauthorised, pupil.summer_half_term_2_unauthorised_absence_sessions, 0)
            as unauthorised
    from {{ ref('stg_school_census__pupil') }} as pupil
    left join {{ ref('stg_school_census__absence') }} as termly
        on termly.delivery_id = pupil.delivery_id
        and termly.is_on_roll = pupil.is_on_roll
        and termly.pupil_id = pupil.pupil_id
        and not termly.is_half_term_2
    left join {{ ref('stg_school_census__absence') }} as half
        on half.delivery_id = pupil.delivery_id
        and half.is_on_roll = pupil.is_on_roll
        and half.pupil_id = pupil.pupil_id
        and half.is_half_term_2
    where
        not pupil.is_key_ambiguous
        and (
            pupil.possible_sessions is not null
            or pupil.summer_half_term_2_possible_sessions is not null
        )
),

summed as (
    select
        person_id,
        academic_year,
        coalesce(sum(possible) filter (where not coalesce(is_year_11_summer, false)), 0)
            as possible,
        coalesce(sum(authorised) filter (where not coalesce(is_year_11_summer, false)), 0)
            as authorised,
        coalesce(sum(unauthorised) filter (where not coalesce(is_year_11_summer, false)), 0)
            as unauthorised,
        count(distinct absence_term) filter (where not coalesce(is_year_11_summer, false))
            as term_count,
        array_to_string(list_sort(list_distinct(
            list(absence_term) filter (where not coalesce(is_year_11_summer, false))
        )), ',') as terms,
        count(distinct school_id) as school_count
    from term
    group by person_id, academic_year
),

aged as (
    select
        summed.*,
        {{ age_at_academic_year_start('child.birth_month', 'summed.academic_year') }}
            as age_at_start
    from summed
    inner join {{ ref('child') }} as child using (person_id)
)

select
    *,
    case
        when age_at_start is null then 'age not known'
        when age_at_start not between 5 and 15 then 'not of compulsory school age'
        when possible <= 0 then 'no possible session'
        when possible > 420 then 'more than 420 possible sessions'
        when authorised < 0 or unauthorised < 0 then 'negative sessions'
        when authorised + unauthorised > possible then 'absence exceeds possible sessions'
    end as left_out_because
from aged
