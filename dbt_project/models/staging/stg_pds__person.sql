-- One row per record, from the newest snapshot that holds it. Superseded records stay: they are the
-- same person under an NHS number no longer in use.
select
    person_id,
    link_tier,
    delivery_year,
    delivery_month,
    sex_code,
    birth_month,
    ethnicity_code,
    death_month,
    sensitivity_code,
    is_superseded
from {{ accepted_person('pds_demographics', 'person') }}
qualify row_number() over (partition by record_key order by {{ newest_return() }}) = 1
