-- Usual addresses of each record, from the newest snapshot that holds the record.
select
    person_id,
    record_key,
    delivery_month,
    lsoa21_code,
    coalesce(lsoa11_code, supplier_lsoa11_code) as lsoa11_code,
    la_code,
    address_from_date,
    address_to_date
from {{ accepted_person('pds_demographics', 'address') }}
qualify dense_rank() over (
    partition by record_key order by delivery_year desc, delivery_month desc, delivery_id desc
) = 1
