-- A child has one level of provision in a census.
select 1
from {{ ref('sen_episode') }} as episode
inner join {{ ref('sen_episode') }} as later
    on later.person_id = episode.person_id
    and later.episode_number = episode.episode_number + 1
where later.first_census_date <= episode.last_census_date
