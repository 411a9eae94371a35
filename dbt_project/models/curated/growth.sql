with measured as (
    select
        measurement.* exclude (age_months),
        child.sex,
        -- half a month off at most, as only the month of birth is known here
        coalesce(
            measurement.age_months,
            date_diff('day', child.birth_month + interval 15 day, measurement.measurement_date)
            / 30.4375
        ) as age_months,
        case
            when measurement.age_months is not null then 'supplier'
            when child.birth_month is not null then 'month of birth'
        end as age_basis,
        case
            when
                measurement.height_cm between 50 and 250
                and measurement.weight_kg between 5 and 200
                then round(measurement.weight_kg / power(measurement.height_cm / 100, 2), 2)
        end as bmi
    from {{ ref('int_growth_measurement') }} as measurement
    inner join {{ ref('child') }} as child using (person_id)
    where {{ not_before_birth('measurement.measurement_date', 'child.birth_month', 0) }}
),

reference as (
    select * from {{ ref('growth_reference') }} where measure = 'bmi'
),

placed as (
    select
        measured.*,
        {{ between_ages('l') }} as l,
        {{ between_ages('m') }} as m,
        {{ between_ages('s') }} as s
    from measured
    asof left join reference as below
        on measured.sex = below.sex and measured.age_months >= below.age_months
    asof left join reference as above
        on measured.sex = above.sex and measured.age_months <= above.age_months
),

scored as (
    select
        *,
        {{ lms_z('bmi', 'l', 'm', 's') }} as own_z_score
    from placed
),

chosen as (
    select
        *,
        coalesce(own_z_score, case when bmi is not null then supplier_bmi_z_score end)
            as bmi_z_score,
        case
            when own_z_score is not null then 'UK90 table'
            when bmi is not null and supplier_bmi_z_score is not null then 'supplier'
        end as score_basis
    from scored
),

centiles as (
    select *, {{ normal_share('bmi_z_score') }} as bmi_centile from chosen
)

select
    person_id,
    cast(row_number() over (partition by person_id order by measurement_date, source) as integer)
        as measurement_number,
    measurement_date,
    source,
    school_year_group,
    round(age_months, 2) as age_months,
    age_basis,
    height_cm,
    weight_kg,
    is_exchanged,
    bmi,
    round(bmi_z_score, 3) as bmi_z_score,
    round(bmi_centile, 4) as bmi_centile,
    score_basis,
    {{ bmi_category('bmi_centile', [0.85, 0.95]) }} as bmi_category_population,
    {{ bmi_category('bmi_centile', [0.91, 0.98]) }} as bmi_category_clinical
from centiles
