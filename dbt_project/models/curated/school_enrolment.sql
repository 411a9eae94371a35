with census as (
    select
        pupil.*,
        coalesce(
            school.reference_date, last_day(pupil.delivery_month)
        ) as reference_date
    from {{ ref('stg_school_census__pupil') }} as pupil
    left join {{ ref('stg_school_census__return') }} as school
        on school.delivery_id = pupil.delivery_id
        and school.school_census_id = pupil.school_census_id
),

free_meal as (
    select distinct census.delivery_id, census.pupil_id, census.is_on_roll
    from census
    inner join {{ accepted('school_census', 'fsm_periods') }} as period
        on period.delivery_id = census.delivery_id
        and period.pupil_on_roll_id = census.pupil_id
    where
        census.is_on_roll
        and not census.is_key_ambiguous
        and period.fsm_start_date <= census.reference_date
        and (period.fsm_end_date is null or period.fsm_end_date >= census.reference_date)
)

select
    census.person_id,
    census.school_id,
    cast(census.delivery_year as integer) as academic_year,
    cast(census.delivery_term as integer) as term_number,
    census.local_authority,
    census.is_on_roll,
    cast({{ coarsen_event_date('census.entry_date', 'child.birth_month') }} as date)
        as entry_date,
    cast({{ coarsen_event_date('census.leaving_date', 'child.birth_month') }} as date)
        as leaving_date,
    census.enrolment_status_code,
    coalesce(census.enrolment_status_code in ('C', 'M'), census.is_on_roll) as is_main_enrolment,
    census.national_curriculum_year_code,
    census.is_part_time,
    census.sen_provision_code,
    case
        when census.sen_provision_code = 'E' then 'EHC plan or statement'
        when census.sen_provision_code = 'S' then 'EHC plan or statement'
        when census.sen_provision_code in ('K', 'A', 'P') then 'SEN support'
        when census.sen_provision_code = 'N' then 'No SEN'
    end as sen_level,
    case
        when census.is_on_roll and not census.is_key_ambiguous then free_meal.pupil_id is not null
    end as is_free_school_meal_eligible,
    census.first_language_code,
    case
        when census.first_language_code in ('ENG', 'ENB') then false
        when census.first_language_code not in ('NOT', 'REF', 'ZZZ') then true
    end as is_english_additional_language,
    census.possible_sessions is not null as has_attendance
from census
inner join {{ ref('child') }} as child using (person_id)
-- an equality on each column, or DuckDB compares every pupil with every meal
left join free_meal using (delivery_id, pupil_id, is_on_roll)
qualify row_number() over (
    partition by
        census.person_id, census.school_id, census.delivery_year, census.delivery_term
    order by census.is_on_roll desc, census.entry_date desc, census.delivery_id desc,
        census.row_number desc
) = 1
