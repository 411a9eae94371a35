-- One row per person, local authority and episode start. An episode open at the end of a year is
-- returned again the year after: the newest return is kept, and within it the row with an end.
-- Ends are made to follow one another, and how each end is known is kept:
--   reported       as returned, or not later than the next episode's start
--   next_episode   left open or too late in the return: ends when the next one starts
--   not_returned   left open, but newer returns of the authority no longer hold it: ends at the
--                  year end of the return in which it was last seen
--   open           still open in the authority's newest return
with newest as (
    select
        person_id,
        delivery_supplier as local_authority,
        {{ plausible_date('episode_start_date') }} as episode_start_date,
        case
            when episode_end_date < episode_start_date then null
            else {{ plausible_date('episode_end_date') }}
        end as reported_end_date,
        new_episode_reason_code,
        legal_status_code,
        need_category_code,
        placement_type_code,
        placement_provider_code,
        episode_end_reason_code,
        placement_change_reason_code,
        home_lsoa21_code,
        home_lsoa11_code,
        home_la_code,
        legal_status_code in ('V3', 'V4') as is_short_break,
        delivery_year as last_return_year
    from {{ accepted_person('ssda903', 'episodes') }}
    where {{ plausible_date('episode_start_date') }} is not null
    qualify row_number() over (
        partition by person_id, delivery_supplier, episode_start_date
        order by
            delivery_year desc,
            (episode_end_date is null),
            episode_end_date desc,
            delivery_id desc,
            row_number desc
    ) = 1
),

followed as (
    select
        *,
        lead(episode_start_date) over (
            partition by person_id, local_authority order by episode_start_date
        ) as next_start_date
    from newest
),

returned as (
    select followed.*, authority.newest_year
    from followed
    inner join (
        select local_authority, max(collection_year) as newest_year
        from {{ ref('stg_return_year') }}
        where feed = 'ssda903'
        group by local_authority
    ) as authority using (local_authority)
)

select
    * exclude (next_start_date, newest_year, reported_end_date),
    case
        when next_start_date < coalesce(reported_end_date, date '9999-12-31') then next_start_date
        when reported_end_date is not null then reported_end_date
        when last_return_year < newest_year
            then greatest(episode_start_date, make_date(last_return_year, 3, 31))
    end as episode_end_date,
    case
        when next_start_date < coalesce(reported_end_date, date '9999-12-31') then 'next_episode'
        when reported_end_date is not null then 'reported'
        when last_return_year < newest_year then 'not_returned'
        else 'open'
    end as end_basis
from returned
