-- One row per mental health contact, attended or not, as its latest effective row says.
select contact.*, bridge.person_id, bridge.tier as link_tier
from {{ latest_effective('mhsds', 'care_contact', ['service_request_id', 'care_contact_id']) }}
    as contact
inner join {{ source('linkage', 'bridge') }} as bridge using (record_key)
where bridge.feed = 'mhsds'
