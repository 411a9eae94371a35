-- Read once: five answers come from the same observations.
with observation as materialized (
    select * from {{ ref('stg_person_observation') }}
    where person_id not in (select person_id from {{ ref('stg_person_withheld') }})
),

seen as (
    select
        person_id,
        min(seen_month) as first_seen_month,
        max(seen_month) as last_seen_month,
        count(distinct feed) as source_count,
        {{ weakest_tier('link_tier') }} as link_tier
    from observation
    group by person_id
),

registered_death as (
    select person_id, min(death_month) as death_month
    from observation
    where feed = 'deaths_registration'
    group by person_id
)

select
    seen.person_id,
    coalesce(sex.sex, 'U') as sex,
    birth.birth_month,
    ethnicity.ethnicity_code,
    coalesce(harmonised.ons2011_group, 'Unknown') as ethnicity_group,
    ethnicity.feed as ethnicity_source,
    -- the register knows best
    coalesce(registered_death.death_month, death.death_month) as death_month,
    seen.first_seen_month,
    seen.last_seen_month,
    cast(seen.source_count as integer) as source_count,
    seen.link_tier
from seen
left join {{ best_known('observation', 'sex') }} as sex using (person_id)
left join {{ best_known('observation', 'birth_month') }} as birth
    using (person_id)
left join {{ best_known('observation', 'ethnicity_code') }} as ethnicity
    using (person_id)
left join {{ best_known('observation', 'death_month') }} as death
    using (person_id)
left join registered_death using (person_id)
left join {{ ref('ethnicity_group') }} as harmonised
    on harmonised.ethnicity_code = ethnicity.ethnicity_code
