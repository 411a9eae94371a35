-- Notified live births, one row per baby: the newest, which is the correction where there is one.
select
    person_id,
    link_tier,
    delivery_year,
    delivery_month,
    sex_code,
    ethnicity_code,
    birth_month,
    birth_weight_grams,
    birth_order_number,
    confinement_birth_count,
    gestation_weeks,
    death_month
from {{ accepted_person('birth_notification', 'notification') }}
where coalesce(birth_outcome_code, '1') = '1'
qualify row_number() over (partition by record_key order by {{ newest_return() }}) = 1
