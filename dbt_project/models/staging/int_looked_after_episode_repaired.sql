-- The kept episodes, one per person, local authority and start, with ends that follow one another.
-- The end and its reason as delivered stay beside the repaired ones; repair_rule names the rules of
-- episode_repair_rule that changed them, in their order; end_basis says how the end is known:
--   reported       as returned
--   next_episode   set by the next episode's start
--   not_returned   left open, but a newer return of the authority no longer holds it: the year end
--                  of the return in which it was last seen
--   open           still open in the authority's newest return
with followed as (
    select
        *,
        lead(episode_start_date) over chain as next_start_date,
        lead(sound_end_date) over chain as next_end_date,
        lead(new_episode_reason_code) over chain as next_reason_code
    from {{ ref('int_looked_after_episode_kept') }}
    where removal_rule is null
    window chain as (partition by person_id, local_authority order by episode_start_date)
),

returned as (
    select
        followed.*,
        coalesce(followed.next_reason_code = 'S', false) as is_next_restart,
        returned_year.year_end,
        make_date(returned_year.following_year, 3, 31) as following_year_end
    from followed
    inner join {{ ref('stg_return_year') }} as returned_year
        on returned_year.feed = 'ssda903'
        and returned_year.local_authority = followed.local_authority
        and returned_year.collection_year = followed.return_year
),

ruled as (
    select
        *,
        case
            when sound_end_date is null then case
                -- a whole return without the child, or a restart after it, shows that care ended
                when next_start_date > following_year_end then 'missing_end_not_returned'
                when not is_next_restart and next_start_date is not null
                    then 'missing_end_next_start'
                when following_year_end is not null and coalesce(next_start_date > year_end, true)
                    then 'missing_end_not_returned'
                when next_start_date is not null then 'missing_end_restart'
            end
            when sound_end_date > next_start_date then case
                when next_end_date < sound_end_date then 'overlap_inside' else 'overlap'
            end
            when
                episode_end_reason_code = 'X1'
                and next_reason_code <> 'S'
                and next_start_date > sound_end_date
                and next_start_date <= sound_end_date + (
                    select cast(max(limit_days) as integer)
                    from {{ ref('episode_repair_rule') }}
                    where repair_rule = 'gap_in_care'
                )
                then 'gap_in_care'
        end as end_rule
    from returned
)

select
    person_id,
    local_authority,
    return_year as last_return_year,
    episode_start_date,
    case
        when end_rule is null then sound_end_date
        when end_rule = 'missing_end_not_returned' then greatest(episode_start_date, year_end)
        when end_rule = 'missing_end_restart' then next_start_date - 1
        else next_start_date
    end as episode_end_date,
    episode_end_date as delivered_end_date,
    case
        when end_rule in ('missing_end_not_returned', 'missing_end_restart') then null
        when end_rule is not null and not is_next_restart then 'X1'
        when end_rule is null and episode_end_date < episode_start_date then null
        else episode_end_reason_code
    end as episode_end_reason_code,
    episode_end_reason_code as delivered_end_reason_code,
    case
        when end_rule = 'missing_end_not_returned' then 'not_returned'
        when end_rule is not null then 'next_episode'
        when sound_end_date is not null then 'reported'
        else 'open'
    end as end_basis,
    nullif(concat_ws(
        ', ',
        case when episode_end_date < episode_start_date then 'end_before_start' end,
        end_rule
    ), '') as repair_rule,
    {{ episode_codes() | join(',\n    ') }},
    legal_status_code in ('V3', 'V4') as is_short_break,
    home_lsoa21_code,
    home_lsoa11_code,
    home_la_code
from ruled
