-- One row per person in a return. Children under school age often have no UPN.
select
    person_id,
    link_tier,
    delivery_id,
    row_number,
    delivery_supplier as local_authority,
    delivery_year,
    delivery_month,
    sen2_person_id,
    sex_code,
    birth_month,
    ethnicity_code
from {{ accepted_person('sen2', 'person') }}
