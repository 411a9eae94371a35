-- Only children linked to both a looked-after return and hospital records can be here: read it with
-- the linkage-quality tables.
with in_care as (
    select
        admission.person_id,
        admission.admission_number,
        min(period.period_of_care_number) as period_of_care_number
    from {{ ref('hospital_admission') }} as admission
    inner join {{ ref('looked_after_period_of_care') }} as period
        on period.person_id = admission.person_id
        and not period.is_short_break
        and admission.admission_date >= period.period_start_date
        and (
            period.period_end_date is null
            or admission.admission_date <= period.period_end_date
        )
    where not admission.is_date_coarsened
    group by admission.person_id, admission.admission_number
),

ever_looked_after as (
    select
        person_id,
        min(period_start_date) as first_looked_after_date,
        arg_min(is_start_reported, period_start_date) as is_first_start_known
    from {{ ref('looked_after_period_of_care') }}
    where not is_short_break
    group by person_id
)

select
    admission.person_id,
    admission.admission_number,
    admission.admission_date,
    admission.discharge_date,
    admission.length_of_stay_days,
    admission.admission_age_years,
    admission.is_unplanned as is_emergency,
    admission.is_birth,
    admission.primary_icd10_code,
    case when known.is_timing_known then in_care.person_id is not null end
        as is_during_period_of_care,
    in_care.period_of_care_number,
    case
        when known.is_timing_known
            then admission.admission_date < ever_looked_after.first_looked_after_date
    end as is_before_first_care
from {{ ref('hospital_admission') }} as admission
inner join ever_looked_after using (person_id)
left join in_care using (person_id, admission_number)
-- A coarsened date cannot be placed, nor one before a period whose beginning was not returned.
cross join lateral (
    select
        not admission.is_date_coarsened
        and (
            ever_looked_after.is_first_start_known
            or admission.admission_date >= ever_looked_after.first_looked_after_date
        ) as is_timing_known
) as known
