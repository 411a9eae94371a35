with measured as (
    select
        measurement.* replace (
            cast(
                {{ coarsen_event_date('measurement.measurement_date', 'child.birth_month') }}
                as date
            ) as measurement_date
        ),
        measurement.measurement_date as exact_date,
        child.sex,
        -- half a month off at most, as only the month of birth is known here
        greatest(
            date_diff(
                'day',
                child.birth_month + interval 15 day,
                {{ coarsen_event_date('measurement.measurement_date', 'child.birth_month') }}
            ) / 30.4375,
            0
        ) as age_months,
        case
            when {{ is_height('measurement.height_cm') }} and {{ is_weight('measurement.weight_kg') }}
                then measurement.weight_kg / power(measurement.height_cm / 100, 2)
        end as quotient
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
        -- beyond these it is a slip of the pen or of units
        case when measured.quotient between 7 and 70 then round(measured.quotient, 2) end as bmi,
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
    select *, {{ lms_z('bmi', 'l', 'm', 's') }} as lms_bmi_z_score from placed
),

-- the supplier knew the date of birth, so its score is the surer one
chosen as (
    select
        *,
        case when bmi is not null then coalesce(supplier_bmi_z_score, lms_bmi_z_score) end
            as bmi_z_score
    from scored
),

centiles as (
    select *, {{ normal_share('bmi_z_score') }} as bmi_centile from chosen
)

select
    person_id,
    cast(row_number() over (partition by person_id order by exact_date, source) as integer)
        as measurement_number,
    measurement_date,
    source,
    school_year_group,
    round(age_months, 1) as age_months,
    height_cm,
    weight_kg,
    is_exchanged,
    bmi,
    round(bmi_z_score, 3) as bmi_z_score,
    round(bmi_centile, 4) as bmi_centile,
    case
        when bmi_z_score is null then null
        when supplier_bmi_z_score is not null then 'supplier'
        else 'reference table'
    end as score_basis,
    round(lms_bmi_z_score, 3) as lms_bmi_z_score,
    {{ bmi_category('bmi_centile', [0.85, 0.95]) }} as bmi_category_population,
    {{ bmi_category('bmi_centile', [0.91, 0.98]) }} as bmi_category_clinical
from centiles
