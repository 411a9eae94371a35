-- Whoever a register, a notification or a maternity record tells of. Two of one kind for one child
-- (a wrong number, say): the newest counts.
with registered as (
    select * from {{ ref('stg_births_registration__birth') }}
    qualify row_number() over (
        partition by person_id order by delivery_month desc, registration_month desc nulls last
    ) = 1
),

notified as (
    select
        *,
        -- 0 and 99 stand for not known; no live birth is outside this range
        case when gestation_weeks between 20 and 45 then gestation_weeks end as known_weeks
    from {{ ref('stg_birth_notification__notification') }}
    qualify row_number() over (
        partition by person_id order by delivery_month desc, birth_month desc nulls last
    ) = 1
),

maternity as (
    select
        *,
        case when gestation_days between 140 and 321 then gestation_days // 7 end as known_weeks
    from {{ ref('stg_msds__maternity_record') }}
    qualify row_number() over (
        partition by person_id order by delivery_month desc, birth_month desc nulls last
    ) = 1
),

born as (
    select
        child.person_id,
        registered.person_id is not null as is_registered,
        notified.person_id is not null as is_notified,
        maternity.person_id is not null as has_maternity_record,
        coalesce(registered.birth_month, notified.birth_month, maternity.birth_month)
            as birth_month,
        coalesce(notified.known_weeks, maternity.known_weeks) as gestation_weeks,
        coalesce(
            {{ plausible_birth_weight('notified.birth_weight_grams') }},
            {{ plausible_birth_weight('maternity.birth_weight_grams') }}
        ) as birth_weight_grams,
        coalesce(
            notified.confinement_birth_count,
            registered.live_birth_count + coalesce(registered.stillbirth_count, 0)
        ) as confinement_birth_count,
        notified.birth_order_number,
        coalesce(registered.mother_age_years, maternity.mother_age_years) as mother_age_years,
        registered.mother_previous_live_births,
        registered.mother_lsoa_code,
        registered.mother_la_code,
        maternity.apgar_score_5,
        maternity.delivery_method,
        maternity.first_feed_breast_milk_status,
        maternity.mother_smoking_at_delivery
    from {{ ref('child') }} as child
    left join registered using (person_id)
    left join notified using (person_id)
    left join maternity using (person_id)
)

select
    person_id,
    birth_month,
    is_registered,
    is_notified,
    has_maternity_record,
    cast(gestation_weeks as integer) as gestation_weeks,
    gestation_weeks < 37 as is_preterm,
    cast(birth_weight_grams as integer) as birth_weight_grams,
    birth_weight_grams < 2500 as is_low_birth_weight,
    cast(confinement_birth_count as integer) as confinement_birth_count,
    confinement_birth_count > 1 as is_multiple_birth,
    cast(birth_order_number as integer) as birth_order_number,
    cast(mother_age_years as integer) as mother_age_years,
    cast(mother_previous_live_births as integer) as mother_previous_live_births,
    mother_lsoa_code,
    mother_la_code,
    cast(apgar_score_5 as integer) as apgar_score_5,
    delivery_method,
    first_feed_breast_milk_status,
    mother_smoking_at_delivery
from born
where is_registered or is_notified or has_maternity_record
