-- Every curated row comes from one staged row of a child, and every staged row of a child is there
-- or was left out by a stated rule.
with counted as (
    select
        'cin_referral' as model,
        (select count(*) from {{ ref('cin_referral') }}) as curated,
        (
            select count(*)
            from {{ ref('stg_cin_census__referral') }} as staged
            inner join {{ ref('child') }} as child using (person_id)
            where {{ not_before_birth('staged.referral_date', 'child.birth_month', 217) }}
        ) as expected
    union all
    select
        'cin_assessment',
        (select count(*) from {{ ref('cin_assessment') }}),
        (
            select count(*)
            from {{ ref('stg_cin_census__assessment') }} as staged
            inner join {{ ref('child') }} as child using (person_id)
            where {{ not_before_birth('staged.assessment_start_date', 'child.birth_month', 217) }}
        )
    union all
    select
        'section_47',
        (select count(*) from {{ ref('section_47') }}),
        (
            select count(*)
            from {{ ref('stg_cin_census__section_47') }} as staged
            inner join {{ ref('child') }} as child using (person_id)
            where {{ not_before_birth('staged.section_47_start_date', 'child.birth_month', 217) }}
        )
    union all
    select
        'cin_plan',
        (select count(*) from {{ ref('cin_plan') }}),
        (
            select count(*)
            from {{ ref('stg_cin_census__plan') }} as staged
            inner join {{ ref('child') }} as child using (person_id)
            where {{ not_before_birth('staged.plan_start_date', 'child.birth_month', 217) }}
        )
    union all
    select
        'education_year',
        (select count(*) from {{ ref('education_year') }}),
        (
            select count(distinct (person_id, academic_year))
            from {{ ref('school_enrolment') }}
            where is_on_roll
        )
    union all
    select
        'child_protection_plan',
        (select count(*) from {{ ref('child_protection_plan') }}),
        (
            select count(*)
            from {{ ref('stg_cin_census__child_protection_plan') }} as staged
            inner join {{ ref('child') }} as child using (person_id)
            where {{ not_before_birth('staged.plan_start_date', 'child.birth_month', 217) }}
        )
    union all
    select
        'looked_after_episode',
        (
            (select count(*) from {{ ref('looked_after_episode') }})
            + (select count(*) from {{ ref('looked_after_episode_removed') }})
        ),
        (
            select count(*)
            from {{ ref('stg_ssda903__episode') }}
            inner join {{ ref('child') }} using (person_id)
        )
    union all
    select
        'looked_after_period_of_care',
        (select sum(episode_count) from {{ ref('looked_after_period_of_care') }}),
        (select nullif(count(*), 0) from {{ ref('looked_after_episode') }})
    union all
    select
        'absence_year',
        (select count(*) from {{ ref('absence_year') }}),
        (select count(*) filter (where left_out_because is null) from {{ ref('int_absence_year') }})
    union all
    select
        'exclusion',
        (select count(*) from {{ ref('exclusion') }}),
        (
            select count(*)
            from {{ ref('stg_school_census__exclusion') }}
            inner join {{ ref('child') }} using (person_id)
        )
    union all
    select
        'persistent_absence_cin_status',
        (select count(*) from {{ ref('persistent_absence_cin_status') }}),
        (select count(*) from {{ ref('absence_year') }})
    union all
    select
        'hospital_admission',
        (select count(*) from {{ ref('hospital_admission') }}),
        (
            select count(distinct (
                person_id, provider_code, admission_date, coalesce(provider_spell_number, spell_id)
            ))
            from {{ ref('stg_sus_apc__spell') }}
            inner join {{ ref('child') }} using (person_id)
            where {{ plausible_date('admission_date') }} is not null
        )
    union all
    select
        'hospital_episode',
        (select sum(episode_count) from {{ ref('hospital_admission') }}),
        (
            select case when count(*) > 0 or exists (select 1 from {{ ref('hospital_admission') }})
                then count(*) end
            from {{ ref('hospital_episode') }}
        )
)

select model
from counted
where curated is distinct from expected
