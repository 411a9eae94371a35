-- The population measure: children weighed at school in Reception and in Year 6. Measurements of
-- practices are of children who had a reason to be weighed, and are in curated.growth only.
with staged as (
    select
        *,
        {{ academic_year('measurement_date') }} as academic_year,
        -- the upload of the school does not give the year group: the programme's two ages do
        case
            when school_year_group = 'R' then 'Reception'
            when school_year_group = '6' then 'Year 6'
            when school_year_group is not null then null
            when age_months >= 48 and age_months < 78 then 'Reception'
            when age_months >= 120 and age_months < 150 then 'Year 6'
        end as stage
    from {{ ref('growth') }}
    where source in ('ncmp', 'ncmp_upload') and bmi is not null
),

measured as (
    select *
    from staged
    where stage is not null
    -- one a stage: one with a category first, then the latest
    qualify row_number() over (
        partition by person_id, stage
        order by bmi_category_population is not null desc, measurement_number desc
    ) = 1
),

reception as (
    select person_id, bmi_category_population
    from measured
    where stage = 'Reception'
),

meals as (
    select
        person_id,
        academic_year,
        bool_or(is_free_school_meal_eligible) as is_free_school_meal_eligible
    from {{ ref('school_enrolment') }}
    group by person_id, academic_year
),

diagnosed as (
    select event.person_id, min(event.event_date) as first_date
    from {{ ref('gp_event_codelist') }} as listed
    inner join {{ ref('gp_event') }} as event using (person_id, event_number)
    where listed.codelist = 'obesity'
    group by event.person_id
),

place as (
    select * from {{ lived_at('measured', ['person_id', 'stage'], 'measurement_date') }}
)

select
    measured.person_id,
    measured.stage,
    measured.academic_year,
    measured.measurement_date,
    measured.age_months,
    measured.bmi,
    measured.bmi_z_score,
    measured.bmi_category_population as weight_category,
    measured.bmi_category_population in ('overweight', 'obese', 'severely obese')
        as is_overweight_or_obese,
    measured.bmi_category_population in ('obese', 'severely obese') as is_obese,
    measured.bmi_category_population = 'severely obese' as is_severely_obese,
    case when measured.stage = 'Year 6' then reception.bmi_category_population end
        as reception_weight_category,
    coalesce(diagnosed.first_date <= measured.measurement_date + interval 1 year, false)
        as is_obesity_recorded_by_practice,
    meals.is_free_school_meal_eligible,
    place.la_code,
    place.imd_2019_quintile,
    place.imd_2025_quintile
from measured
left join reception using (person_id)
left join diagnosed using (person_id)
left join meals using (person_id, academic_year)
left join place using (person_id, stage)
