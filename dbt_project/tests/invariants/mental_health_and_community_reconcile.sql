-- Every staged row of a child is in its curated table or was left out by a stated rule, and every
-- attended contact of a referral is counted on it.
with counted as (
    select
        'mental_health_referral' as model,
        (select count(*) from {{ ref('mental_health_referral') }}) as curated,
        (
            select count(*)
            from {{ ref('stg_mhsds__referral') }}
            inner join {{ ref('child') }} using (person_id)
            where {{ plausible_date('referral_date') }} is not null
        ) as expected
    union all
    select
        'mental_health_contact',
        (select count(*) from {{ ref('mental_health_contact') }}),
        (
            select count(*)
            from {{ ref('stg_mhsds__contact') }}
            inner join {{ ref('child') }} using (person_id)
            where {{ plausible_date('contact_date') }} is not null
        )
    union all
    select
        'attended contacts of mental_health_referral',
        (select coalesce(sum(attended_contact_count), 0) from {{ ref('mental_health_referral') }}),
        (
            select count(*)
            from {{ ref('mental_health_contact') }}
            where is_attended and referral_number is not null
        )
    union all
    select
        'community_contact',
        (select count(*) from {{ ref('community_contact') }}),
        (
            select count(*)
            from {{ ref('stg_csds__contact') }} as staged
            inner join {{ ref('child') }} as child using (person_id)
            where
                {{ plausible_date('staged.contact_date') }} is not null
                and {{ not_before_birth('staged.contact_date', 'child.birth_month', 217) }}
        )
)

select model
from counted
where curated is distinct from expected
