select
    admission.person_id,
    admission.admission_number,
    cast(critical_care.critical_care_number as integer) as critical_care_number,
    cast(case
        when admission.is_date_coarsened
            then date_trunc('month', critical_care.critical_care_start_date)
        else critical_care.critical_care_start_date
    end as date) as critical_care_start_date,
    cast(case
        when admission.is_date_coarsened
            then date_trunc('month', critical_care.critical_care_end_date)
        else critical_care.critical_care_end_date
    end as date) as critical_care_end_date,
    critical_care.critical_care_type_code,
    cast(critical_care.gestation_weeks as integer) as gestation_weeks,
    cast(critical_care.advanced_respiratory_days as integer) as advanced_respiratory_days,
    cast(critical_care.basic_respiratory_days as integer) as basic_respiratory_days,
    cast(critical_care.maximum_organ_systems as integer) as maximum_organ_systems,
    cast(critical_care.level_2_days as integer) as level_2_days,
    cast(critical_care.level_3_days as integer) as level_3_days
from {{ ref('int_hospital_admission') }} as admission
{{ of_records('admission', 'sus_apc', 'critical_care', 'spell_id') }}
qualify row_number() over (
    partition by
        admission.person_id, admission.admission_number, critical_care.critical_care_number
    order by critical_care.row_number
) = 1
