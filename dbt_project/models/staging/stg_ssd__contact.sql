-- Contacts with children's social care in the newest extract of each authority.
select
    person_id,
    delivery_supplier as local_authority,
    {{ plausible_date('contact_date') }} as contact_date,
    contact_source_code,
    contact_id,
    delivery_month
from {{ newest_extract('contacts') }}
where {{ plausible_date('contact_date') }} is not null
