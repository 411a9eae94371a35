-- One row per mental health referral, as its latest effective row says.
select referral.*, bridge.person_id, bridge.tier as link_tier
from {{ latest_effective('mhsds', 'referral', ['service_request_id']) }} as referral
inner join {{ source('linkage', 'bridge') }} as bridge using (record_key)
where bridge.feed = 'mhsds'
