-- Every birth, death, case and measurement of a child is there once, or was left out by a stated
-- rule.
with counted as (
    select
        'birth' as model,
        (select count(*) from {{ ref('birth') }}) as curated,
        (
            select count(distinct person_id)
            from (
                select person_id from {{ ref('stg_births_registration__birth') }}
                union all
                select person_id from {{ ref('stg_birth_notification__notification') }}
                union all
                select person_id from {{ ref('stg_msds__maternity_record') }}
            )
            inner join {{ ref('child') }} using (person_id)
        ) as expected
    union all
    select
        'death',
        (select count(*) from {{ ref('death') }}),
        (
            select count(*)
            from {{ ref('stg_deaths_registration__death') }}
            inner join {{ ref('child') }} using (person_id)
        )
    union all
    select
        'child_death_review',
        (select count(*) from {{ ref('child_death_review') }}),
        (
            select count(*)
            from {{ ref('stg_child_death_review__child_death') }}
            inner join {{ ref('child') }} using (person_id)
        )
    union all
    select
        'growth',
        (select count(*) from {{ ref('growth') }} where source in ('ncmp', 'ncmp_upload')),
        (
            select count(distinct (staged.person_id, staged.measurement_date))
            from (
                select person_id, measurement_date from {{ ref('stg_ncmp__enhanced') }}
                union all
                select person_id, measurement_date from {{ ref('stg_ncmp__upload') }}
            ) as staged
            inner join {{ ref('child') }} as child using (person_id)
            where
                {{ plausible_date('staged.measurement_date') }} is not null
                and {{ not_before_birth('staged.measurement_date', 'child.birth_month', 0) }}
        )
)

select model
from counted
where curated <> expected
