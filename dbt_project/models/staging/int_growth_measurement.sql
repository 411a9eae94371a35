-- Each child measured on a day, once: the enhanced dataset before the upload, the newest before the
-- older. Heights and weights in each other's place are put right; what was delivered is beside it.
with delivered as (
    select
        person_id, 'ncmp' as source, 1 as source_rank, measurement_date, school_year_group,
        height_cm, weight_kg, age_months, supplier_bmi_z_score, supplier_bmi_centile,
        delivery_year, delivery_month, delivery_id, row_number
    from {{ ref('stg_ncmp__enhanced') }}
    union all by name
    select
        person_id, 'ncmp_upload' as source, 2 as source_rank, measurement_date, height_cm,
        weight_kg, delivery_year, delivery_month, delivery_id, row_number
    from {{ ref('stg_ncmp__upload') }}
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
