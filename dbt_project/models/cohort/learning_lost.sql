-- Sessions of a suspension are marked E in the register, which is absence with leave: they are part
-- of the absence and are never added to it.
with enrolment as (
    select * from {{ ref('school_enrolment') }} where is_on_roll
),

pupil as (
    select
        person_id,
        academic_year,
        min(term_number) as first_term,
        count(distinct term_number) as term_count,
        count(distinct school_id) as school_count,
        bool_or(coalesce(is_part_time, false)) as is_part_time,
        arg_max(
            national_curriculum_year_code, (term_number, is_main_enrolment)
        ) filter (where national_curriculum_year_code is not null) as national_curriculum_year_code
    from enrolment
    group by person_id, academic_year
),

delivered_term as (
    select distinct supplier as local_authority, collection_year as academic_year, term_number
    from {{ ref('stg_delivery') }}
    where feed = 'school_census'
),

-- Terms after the first with a census of an authority of the child's schools, and the child on no
-- roll of any of them.
off_roll as (
    select pupil.person_id, pupil.academic_year, count(distinct due.term_number) as terms
    from pupil
    inner join (
        select distinct person_id, academic_year, local_authority from enrolment
    ) as place using (person_id, academic_year)
    inner join delivered_term as due
        on due.local_authority = place.local_authority
        and due.academic_year = pupil.academic_year
        and due.term_number > pupil.first_term
    anti join enrolment as present
        on present.person_id = pupil.person_id
        and present.academic_year = pupil.academic_year
        and present.term_number = due.term_number
    group by pupil.person_id, pupil.academic_year
),

excluded as (
    select
        person_id,
        academic_year,
        count(*) filter (where is_permanent is distinct from true) as suspensions,
        sum(excluded_sessions) filter (where is_permanent is distinct from true) as sessions,
        coalesce(bool_or(is_permanent), false) as is_permanently_excluded
    from {{ ref('exclusion') }}
    group by person_id, academic_year
),

{% set stages = [
    ('EYFSP', 'R', ref('attainment_eyfsp'), 'is_good_level_of_development'),
    ('phonics', '1', ref('attainment_phonics'), 'is_standard_met'),
    ('KS2', '6', ref('attainment_ks2'), 'is_combined_expected'),
    ('KS4', '11', ref('attainment_ks4'), 'is_basics_9_to_4'),
] -%}
result as (
    {% for stage, year_code, relation, reached in stages -%}
    select '{{ stage }}' as stage, person_id, academic_year, local_authority,
        {{ reached }} as is_expected_standard
    from {{ relation }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
),

-- The stage that ends in the child's year, where an authority of the child's schools delivered it.
assessed as (
    select distinct pupil.person_id, pupil.academic_year, delivered.stage
    from pupil
    inner join (
        select distinct person_id, academic_year, local_authority from enrolment
    ) as place using (person_id, academic_year)
    inner join (select distinct stage, academic_year, local_authority from result) as delivered
        using (academic_year, local_authority)
    where delivered.stage = case pupil.national_curriculum_year_code
        {% for stage, year_code, relation, reached in stages -%}
        when '{{ year_code }}' then '{{ stage }}'
        {% endfor -%}
    end
)

select
    pupil.person_id,
    pupil.academic_year,
    {{ age_at_academic_year_start('child.birth_month', 'pupil.academic_year') }} as age_at_start,
    pupil.national_curriculum_year_code,
    cast(pupil.term_count as integer) as term_count,
    cast(pupil.school_count as integer) as school_count,
    cast(coalesce(off_roll.terms, 0) as integer) as off_roll_term_count,
    pupil.is_part_time,
    absence.possible_sessions,
    absence.absence_sessions,
    absence.unauthorised_absence_sessions,
    absence.absence_sessions / 2.0 as lost_school_days,
    absence.absence_rate as lost_share,
    absence.is_persistently_absent,
    cast(coalesce(excluded.suspensions, 0) as integer) as suspension_count,
    cast(coalesce(excluded.sessions, 0) as integer) as suspended_sessions,
    coalesce(excluded.is_permanently_excluded, false) as is_permanently_excluded,
    assessed.stage as assessment_stage,
    case when assessed.stage is not null then result.is_expected_standard is not null end
        as has_result,
    result.is_expected_standard
from pupil
inner join {{ ref('child') }} as child using (person_id)
left join {{ ref('absence_year') }} as absence using (person_id, academic_year)
left join off_roll using (person_id, academic_year)
left join excluded using (person_id, academic_year)
left join assessed using (person_id, academic_year)
left join result using (person_id, academic_year, stage)
