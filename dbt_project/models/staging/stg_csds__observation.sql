-- Heights and weights of community contacts: the latest effective row of each activity, on the day
-- of its contact. Infants are measured lying down.
select
    contact.person_id,
    contact.link_tier,
    contact.contact_date as measurement_date,
    coalesce(observation.height_metres * 100, observation.length_centimetres) as height_cm,
    observation.weight_kilograms as weight_kg
from {{ latest_effective('csds', 'observation', ['care_activity_id']) }} as observation
inner join
    {{ latest_effective('csds', 'care_activity', ['care_contact_id', 'care_activity_id']) }}
        as activity
    using (delivery_supplier, care_activity_id)
inner join {{ ref('stg_csds__contact') }} as contact using (delivery_supplier, care_contact_id)
