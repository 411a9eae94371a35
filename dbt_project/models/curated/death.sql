select
    death.person_id,
    death.death_month,
    cast(date_trunc('month', death.registration_date) as date) as registration_month,
    cast(date_diff('month', death.death_month, death.registration_date) as integer)
        as registration_lag_months,
    death.is_neonatal,
    case
        when death.death_month >= coalesce(death.birth_month, child.birth_month)
            then {{ completed_years('coalesce(death.birth_month, child.birth_month)', 'death.death_month') }}
    end as death_age_years,
    {{ clean_icd10('death.underlying_cause_icd10_code') }} as underlying_cause_icd10_code,
    {{ clean_icd10('death.injury_icd10_code') }} as injury_icd10_code,
    {{ external_cause('death.underlying_cause_icd10_code') }} as is_external_cause,
    death.residence_la_code,
    death.residence_lsoa_code
from {{ ref('stg_deaths_registration__death') }} as death
inner join {{ ref('child') }} as child using (person_id)
