-- Which delivered episodes are kept. Every delivered row is here: kept (no removal_rule), or removed
-- by one rule of episode_repair_rule, with the start of the kept episode that stands in its place.
-- The rules run in their order and each sees only what the ones before it kept.
{% set content = ['episode_end_date', 'episode_end_reason_code'] + episode_codes()
    + ['home_lsoa21_code', 'home_lsoa11_code', 'home_la_code'] %}
with copied as (
    select
        *,
        {{ plausible_date('episode_start_date') }} is null as is_implausible,
        row_number() over (
            partition by
                person_id, local_authority, return_year, episode_start_date,
                {{ content | join(', ') }}
            order by delivery_id desc, row_number desc
        ) > 1 as is_copy
    from {{ ref('stg_ssda903__episode') }}
),

-- One row for each start in each return: an episode of no length last, then one without an end.
in_return as (
    select
        *,
        row_number() over (
            partition by person_id, local_authority, return_year, episode_start_date, is_copy
            order by
                coalesce(episode_end_date <= episode_start_date, false),
                episode_end_date is null,
                episode_end_date desc,
                delivery_id desc,
                row_number desc
        ) > 1 as is_same_start
    from copied
),

over_returns as (
    select
        *,
        return_year < max(return_year) over (
            partition by person_id, local_authority, episode_start_date
        ) as is_returned_again,
        return_year = max(return_year) over (
            partition by person_id, local_authority
        ) as is_in_newest_return
    from in_return
),

ruled as (
    select
        *,
        case
            when is_implausible then 'implausible_start'
            when is_copy then 'exact_duplicate'
            when is_same_start and episode_end_date = episode_start_date then 'same_day_episode'
            when is_same_start then 'same_start'
            when is_returned_again then 'returned_again'
        end as first_rule,
        case when episode_end_date >= episode_start_date then episode_end_date end as sound_end_date
    from over_returns
),

-- Left open in an earlier return, in no later one, and begun within an episode of a later one. What
-- covers it is ended, or in the child's newest return, so that it is never itself restated.
restated as (
    select
        earlier.person_id,
        earlier.local_authority,
        earlier.episode_start_date,
        max(later.episode_start_date) as covering_start_date
    from ruled as earlier
    inner join ruled as later
        on later.person_id = earlier.person_id
        and later.local_authority = earlier.local_authority
        and later.return_year > earlier.return_year
        and later.episode_start_date < earlier.episode_start_date
        and (
            later.sound_end_date > earlier.episode_start_date
            or (later.sound_end_date is null and later.is_in_newest_return)
        )
    where earlier.first_rule is null
        and later.first_rule is null
        and earlier.episode_end_date is null
    group by earlier.person_id, earlier.local_authority, earlier.episode_start_date
)

select
    ruled.* exclude (
        is_implausible, is_copy, is_same_start, is_returned_again, is_in_newest_return, first_rule
    ),
    coalesce(
        ruled.first_rule, case when restated.covering_start_date is not null then 'restated' end
    ) as removal_rule,
    case
        when not ruled.is_implausible
            then coalesce(restated.covering_start_date, ruled.episode_start_date)
    end as standing_start_date
from ruled
left join restated using (person_id, local_authority, episode_start_date)
