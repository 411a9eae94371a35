-- One row per child in one return: what the header says about the child.
select
    person_id,
    link_tier,
    delivery_supplier as local_authority,
    delivery_year,
    delivery_month,
    sex_code,
    birth_month,
    ethnicity_code
from {{ accepted_person('ssda903', 'header') }}
