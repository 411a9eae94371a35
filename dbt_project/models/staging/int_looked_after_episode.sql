-- Repaired episodes numbered within the child and gathered into periods of care, with exact dates.
--
-- A period of care is a chain of episodes in one local authority in which each starts on the day
-- the one before ceased. A new period starts after any gap; when a child starts to be looked after
-- again on the same day (reason S after an end other than X1); and between short breaks (legal
-- status V3 or V4), which are counted apart from being looked after, and any other status.
with stepped as (
    select
        episode.*,
        child.birth_month,
        child.death_month,
        lag(episode_end_date) over chain as previous_end_date,
        lag(episode_end_reason_code) over chain as previous_end_reason_code,
        lag(is_short_break) over chain as previous_is_short_break,
        row_number() over chain as step
    from {{ ref('int_looked_after_episode_repaired') }} as episode
    inner join {{ ref('child') }} as child using (person_id)
    window chain as (partition by person_id, local_authority order by episode_start_date)
),

marked as (
    select
        *,
        step = 1
        or previous_end_date is null
        or episode_start_date > previous_end_date
        or is_short_break is distinct from previous_is_short_break
        or (
            new_episode_reason_code = 'S'
            and coalesce(previous_end_reason_code, 'X1') <> 'X1'
        ) as is_period_start
    from stepped
),

started as (
    select
        *,
        max(case when is_period_start then episode_start_date end) over (
            partition by person_id, local_authority order by step
        ) as period_start_date
    from marked
)

select
    * exclude (previous_end_date, previous_end_reason_code, previous_is_short_break, step),
    cast(row_number() over (
        partition by person_id order by episode_start_date, local_authority
    ) as integer) as episode_number,
    cast(dense_rank() over (
        partition by person_id order by period_start_date, local_authority
    ) as integer) as period_of_care_number
from started
