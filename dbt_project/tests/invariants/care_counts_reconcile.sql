-- Every row comes from one staged row of a child, and every staged row of a child is there or lies
-- too long before birth; placements hold every episode once.
with counted as (
    select
        (select count(*) from {{ ref('social_care_contact') }}) as curated,
        (
            select count(*)
            from {{ ref('stg_ssd__contact') }} as staged
            inner join {{ ref('child') }} as child using (person_id)
            where {{ not_before_birth('staged.contact_date', 'child.birth_month', 217) }}
        ) as expected
    union all
    select
        (select count(*) from {{ ref('early_help_episode') }}),
        (
            select count(*)
            from {{ ref('stg_ssd__early_help') }} as staged
            inner join {{ ref('child') }} as child using (person_id)
            where {{ not_before_birth('staged.early_help_start_date', 'child.birth_month', 217) }}
        )
    union all
    select
        (select count(*) from {{ ref('missing_episode') }}),
        (
            select count(*)
            from {{ ref('stg_ssda903__missing') }}
            inner join {{ ref('child') }} using (person_id)
        )
    union all
    select
        (select coalesce(sum(episode_count), 0) from {{ ref('looked_after_placement') }}),
        (select count(*) from {{ ref('looked_after_episode') }})
)

select 1
from counted
where curated is distinct from expected
