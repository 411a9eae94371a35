-- Within one authority an episode ends before, or on the day, the next one starts.
select 1
from (
    select
        episode_end_date,
        lead(episode_start_date) over (
            partition by person_id, local_authority order by episode_number
        ) as next_start_date
    from {{ ref('looked_after_episode') }}
)
where next_start_date is not null
    and (episode_end_date is null or episode_end_date > next_start_date)
