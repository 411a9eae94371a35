-- Each child measured on a day, once: the programme's enhanced dataset before the upload, community
-- services before general practice, the newest before the older. Heights and weights in each
-- other's place are put right.
with practice as (
    -- body height 50373000, body weight 27113001
    select
        person_id,
        event_date as measurement_date,
        case when snomed_code = '50373000' and coalesce(result_unit, 'cm') = 'cm' then result_value end
            as height_cm,
        case
            when snomed_code <> '27113001' then null
            when result_unit = 'g' then result_value / 1000
            when coalesce(result_unit, 'kg') = 'kg' then result_value
        end as weight_kg
    from {{ ref('gp_event') }}
    where snomed_code in ('50373000', '27113001')
),

delivered as (
    select
        person_id, 'ncmp' as source, 1 as source_rank, measurement_date, school_year_group,
        height_cm, weight_kg, supplier_bmi_z_score,
        delivery_year, delivery_month, delivery_id, row_number
    from {{ ref('stg_ncmp__enhanced') }}
    union all by name
    select
        person_id, 'ncmp_upload' as source, 2 as source_rank, measurement_date, height_cm,
        weight_kg, delivery_year, delivery_month, delivery_id, row_number
    from {{ ref('stg_ncmp__upload') }}
    union all by name
    -- of several values of a day the middle one
    select
        person_id, 'csds' as source, 3 as source_rank, measurement_date,
        quantile_disc(height_cm, 0.5) as height_cm, quantile_disc(weight_kg, 0.5) as weight_kg
    from {{ ref('stg_csds__observation') }}
    where {{ is_height('height_cm') }} or {{ is_weight('weight_kg') }}
    group by person_id, measurement_date
    union all by name
    select
        person_id, 'gp_olids' as source, 4 as source_rank, measurement_date,
        quantile_disc(height_cm, 0.5) filter ({{ is_height('height_cm') }}) as height_cm,
        quantile_disc(weight_kg, 0.5) filter ({{ is_weight('weight_kg') }}) as weight_kg
    from practice
    where {{ is_height('height_cm') }} or {{ is_weight('weight_kg') }}
    group by person_id, measurement_date
),

newest as (
    select *
    from delivered
    where {{ plausible_date('measurement_date') }} is not null
    qualify row_number() over (
        partition by person_id, measurement_date order by source_rank, {{ newest_return() }}
    ) = 1
),

repaired as (
    select
        * rename (height_cm as delivered_height_cm, weight_kg as delivered_weight_kg),
        coalesce(
            height_cm < weight_kg and weight_kg between 75 and 200 and height_cm between 8 and 120,
            false
        ) as is_exchanged
    from newest
)

select
    repaired.*,
    case when is_exchanged then delivered_weight_kg else delivered_height_cm end as height_cm,
    case when is_exchanged then delivered_height_cm else delivered_weight_kg end as weight_kg
from repaired
