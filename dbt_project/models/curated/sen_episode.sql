-- Runs of school censuses with the same level of provision. One registration speaks for a census:
-- the main one, then the one with most provision.
with census as (
    select
        pupil.person_id,
        pupil.delivery_id,
        pupil.pupil_id,
        pupil.is_key_ambiguous,
        pupil.local_authority,
        pupil.delivery_year,
        pupil.delivery_term,
        coalesce(school.reference_date, last_day(pupil.delivery_month)) as census_date,
        pupil.sen_provision_code,
        {{ sen_level('pupil.sen_provision_code') }} as sen_level
    from {{ ref('stg_school_census__pupil') }} as pupil
    left join {{ ref('stg_school_census__return') }} as school
        on school.delivery_id = pupil.delivery_id
        and school.school_census_id = pupil.school_census_id
    where
        pupil.is_on_roll
        and {{ sen_level('pupil.sen_provision_code') }} is not null
        and pupil.person_id in (select person_id from {{ ref('child') }})
    qualify row_number() over (
        partition by pupil.person_id, pupil.delivery_year, pupil.delivery_term
        order by
            coalesce(pupil.enrolment_status_code in ('C', 'M'), true) desc,
            {{ sen_level('pupil.sen_provision_code') }},
            pupil.entry_date desc, pupil.delivery_id desc, pupil.row_number desc
    ) = 1
),

run as (
    select
        *,
        count(*) filter (where is_new) over (
            partition by person_id order by census_date, delivery_year, delivery_term
        ) as run_number
    from (
        select
            *,
            sen_level is distinct from lag(sen_level) over (
                partition by person_id order by census_date, delivery_year, delivery_term
            ) as is_new
        from census
    )
),

need as (
    select
        run.person_id,
        run.run_number,
        arg_max(need.sen_type_code, (run.census_date, -need.sen_type_rank))
            filter (where need.sen_type_rank = 1) as primary_sen_type_code,
        arg_max(need.sen_type_code, (run.census_date, -need.sen_type_rank))
            filter (where need.sen_type_rank = 2) as secondary_sen_type_code
    from run
    inner join {{ accepted('school_census', 'sen_needs') }} as need
        on need.delivery_id = run.delivery_id
        and need.pupil_on_roll_id = run.pupil_id
        and not run.is_key_ambiguous
    group by run.person_id, run.run_number
),

episode as (
    select
        person_id,
        run_number,
        any_value(sen_level) as sen_level,
        arg_max(sen_provision_code, census_date) as sen_provision_code,
        arg_max(local_authority, census_date) as local_authority,
        min(census_date) as first_census_date,
        max(census_date) as last_census_date,
        count(*) as census_count
    from run
    group by person_id, run_number
),

followed as (
    select
        *,
        lead(first_census_date) over (
            partition by person_id order by run_number
        ) as next_census_date
    from episode
)

select
    followed.person_id,
    cast(row_number() over (
        partition by followed.person_id order by followed.run_number
    ) as integer) as episode_number,
    followed.sen_level,
    followed.sen_provision_code,
    followed.local_authority,
    followed.first_census_date,
    followed.last_census_date,
    followed.next_census_date,
    cast(followed.census_count as integer) as census_count,
    need.primary_sen_type_code,
    need.secondary_sen_type_code
from followed
left join need using (person_id, run_number)
where followed.sen_level <> 'No SEN'
