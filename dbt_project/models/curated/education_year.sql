-- One enrolment speaks for a year: that of the spring census, on which the year's statistics rest,
-- else of the latest other one; the main registration first.
with chosen as (
    select *
    from {{ ref('school_enrolment') }}
    where is_on_roll
    qualify row_number() over (
        partition by person_id, academic_year
        order by
            term_number = 2 desc, term_number desc, is_main_enrolment desc,
            entry_date desc nulls last, school_id
    ) = 1
),

counted as (
    select
        person_id,
        academic_year,
        count(distinct term_number) as term_count,
        count(distinct school_id) as school_count
    from {{ ref('school_enrolment') }}
    where is_on_roll
    group by person_id, academic_year
),

school as (
    select school_id, local_authority, phase, is_special_school
    from {{ ref('school') }}
    where feed = 'school_census'
),

-- the runs of one level of provision of which the chosen census is one
need as (
    select
        chosen.person_id,
        chosen.academic_year,
        arg_max(episode.primary_sen_type_code, episode.first_census_date) as primary_sen_type_code
    from chosen
    inner join {{ ref('sen_episode') }} as episode
        on episode.person_id = chosen.person_id
        and episode.sen_level = chosen.sen_level
        and episode.first_census_date <= make_date(chosen.academic_year, 8, 31)
        and episode.last_census_date >= make_date(chosen.academic_year - 1, 9, 1)
    group by chosen.person_id, chosen.academic_year
),

-- The premium of a financial year rests on the census of the January before it.
premium as (
    select person_id, financial_year - 1 as academic_year
    from {{ ref('pupil_premium') }}
),

premium_delivered as (
    select distinct local_authority, financial_year - 1 as academic_year
    from {{ ref('pupil_premium') }}
)

select
    chosen.person_id,
    chosen.academic_year,
    chosen.term_number as census_term_number,
    {{ age_at_academic_year_start('child.birth_month', 'chosen.academic_year') }} as age_at_start,
    chosen.school_id,
    chosen.local_authority,
    school.phase as school_phase,
    school.is_special_school,
    chosen.national_curriculum_year_code,
    chosen.is_part_time,
    chosen.sen_provision_code,
    chosen.sen_level,
    need.primary_sen_type_code,
    chosen.is_free_school_meal_eligible,
    chosen.is_english_additional_language,
    case
        when premium.person_id is not null then true
        when premium_delivered.local_authority is not null then false
    end as is_pupil_premium,
    cast(counted.term_count as integer) as term_count,
    cast(counted.school_count as integer) as school_count
from chosen
inner join {{ ref('child') }} as child using (person_id)
inner join counted using (person_id, academic_year)
left join school using (school_id, local_authority)
left join need using (person_id, academic_year)
left join premium using (person_id, academic_year)
left join premium_delivered using (local_authority, academic_year)
