-- Registered live births, one row per baby. The newest row of an entry says whether it is current
-- and not cancelled; stillbirths have no record key and so no person; a re-registration repeats the
-- baby.
with entry as (
    select *
    from {{ accepted_person('births_registration', 'birth') }}
    qualify row_number() over (
        partition by delivery_supplier, row_id order by {{ newest_return() }}
    ) = 1
)

select
    person_id,
    link_tier,
    delivery_year,
    delivery_month,
    sex_code,
    coalesce(birth_month, {{ month_as_written('supplier_birth_month') }}) as birth_month,
    registration_month,
    reregistration_code is not null as is_reregistered,
    live_birth_count,
    stillbirth_count,
    mother_age_years,
    mother_previous_live_births,
    mother_la_code,
    mother_lsoa_code
from entry
where
    {{ is_in_force('is_latest', 'cancelled_code') }}
    and stillbirth_icd10_code is null
qualify row_number() over (partition by record_key order by {{ newest_return() }}) = 1
