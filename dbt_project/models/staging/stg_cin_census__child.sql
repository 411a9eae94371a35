-- One row per child in one return: what the return says about the child.
select
    identifiers.person_id,
    identifiers.link_tier,
    identifiers.delivery_id,
    identifiers.delivery_supplier as local_authority,
    identifiers.delivery_year,
    identifiers.delivery_month,
    identifiers.sex_code,
    identifiers.birth_month,
    identifiers.expected_birth_month,
    identifiers.death_month,
    characteristics.ethnicity_code
from {{ accepted_person('cin_census', 'child_identifiers') }} as identifiers
left join {{ source('pseudonymised', 'cin_census__child_characteristics') }} as characteristics
    on characteristics.delivery_id = identifiers.delivery_id
    and characteristics.record_key = identifiers.record_key
