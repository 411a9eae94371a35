select
    observation.person_id,
    observation.feed,
    cast(observation.year as integer) as collection_year,
    observation.sex,
    observation.source_sex_code,
    observation.ethnicity_code,
    coalesce(harmonised.ons2011_group, 'Unknown') as ethnicity_group,
    observation.source_ethnicity_code,
    cast(count(*) as integer) as record_count
from {{ ref('stg_person_observation') }} as observation
inner join {{ ref('child') }} using (person_id)
left join {{ ref('ethnicity_group') }} as harmonised
    on harmonised.ethnicity_code = observation.ethnicity_code
where observation.source_sex_code is not null or observation.source_ethnicity_code is not null
group by all
