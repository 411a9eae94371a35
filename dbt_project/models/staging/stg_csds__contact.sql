-- One row per community contact, attended or not, as its latest effective row says, with the kind
-- of team and the mandated review. A contact without person identifier belongs to the patient of its
-- referral, whom the provider knows by a number of its own; one with an identifier that has no
-- person (the patient opted out) belongs to nobody.
with linked as (
    select record_key, person_id, tier
    from {{ source('linkage', 'bridge') }}
    where feed = 'csds'
),

referral as (
    select delivery_supplier, service_request_id, linked.person_id, linked.tier
    from {{ latest_effective('csds', 'referral', ['service_request_id']) }} as latest
    inner join linked using (record_key)
),

team as (
    select delivery_supplier, service_request_id, service_team_type_code
    from {{ latest_effective('csds', 'service_referred_to', ['service_request_id']) }}
),

review as (
    select delivery_supplier, care_contact_id, min(activity_type_code) as review_activity_code
    from {{ latest_effective('csds', 'care_activity', ['care_contact_id', 'care_activity_id']) }}
    where activity_type_code in ('08', '09', '10', '11', '12')
    group by delivery_supplier, care_contact_id
)

select
    contact.*,
    team.service_team_type_code,
    review.review_activity_code,
    case when contact.record_key is null then referral.person_id else linked.person_id end
        as person_id,
    case when contact.record_key is null then referral.tier else linked.tier end as link_tier
from {{ latest_effective('csds', 'care_contact', ['service_request_id', 'care_contact_id']) }}
    as contact
left join linked using (record_key)
left join referral using (delivery_supplier, service_request_id)
left join team using (delivery_supplier, service_request_id)
left join review using (delivery_supplier, care_contact_id)
where
    linked.person_id is not null
    or (contact.record_key is null and referral.person_id is not null)
