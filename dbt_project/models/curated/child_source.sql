select
    person_id,
    feed,
    min(seen_month) as first_seen_month,
    max(seen_month) as last_seen_month,
    cast(count(*) as integer) as record_count,
    {{ weakest_tier('observation.link_tier') }} as link_tier
from {{ ref('stg_person_observation') }} as observation
inner join {{ ref('child') }} using (person_id)
group by person_id, feed
