select
    person_id,
    cast(year(premium_year_start_date) + 1 as integer) as financial_year,
    delivery_supplier as local_authority,
    national_curriculum_year_code,
    deprivation_premium_count > 0 as is_deprivation_premium,
    service_child_premium_count > 0 as is_service_child_premium,
    looked_after_premium_count > 0 as is_looked_after_premium,
    pupil_premium_full_time,
    pupil_premium_amount
from {{ accepted_person('npd_attainment', 'pupil_premium') }}
where
    premium_year_start_date is not null
    and person_id in (select person_id from {{ ref('child') }})
qualify row_number() over (
    partition by person_id, year(premium_year_start_date) order by {{ newest_return() }}
) = 1
