-- Status on 31 March of each year for which the authority's return was accepted. Something left
-- open counts up to the return in which it was last seen.
with looked_after as (
    select episode.person_id, returned.year_end, episode.local_authority
    from {{ ref('int_looked_after_episode') }} as episode
    inner join {{ ref('stg_return_year') }} as returned
        on returned.feed = 'ssda903'
        and returned.local_authority = episode.local_authority
        and episode.episode_start_date <= returned.year_end
        and (
            episode.episode_end_date > returned.year_end
            or (
                episode.end_basis in ('open', 'not_returned')
                and returned.collection_year <= episode.last_return_year
            )
        )
    where not coalesce(episode.is_short_break, false)
),

on_plan as (
    select plan.person_id, returned.year_end, plan.local_authority
    from {{ ref('int_child_protection_plan') }} as plan
    inner join {{ ref('stg_return_year') }} as returned
        on returned.feed = 'cin_census'
        and returned.local_authority = plan.local_authority
        and plan.plan_start_date <= returned.year_end
        and (
            plan.plan_end_date > returned.year_end
            or (
                plan.plan_end_date is null
                and returned.collection_year <= plan.last_return_year
            )
        )
),

in_need as (
    select
        referral.person_id,
        returned.year_end,
        referral.local_authority,
        referral.closure_reason_code is distinct from 'RC8' as is_assessed_in_need
    from {{ ref('int_cin_referral') }} as referral
    inner join {{ ref('stg_return_year') }} as returned
        on returned.feed = 'cin_census'
        and returned.local_authority = referral.local_authority
        and referral.referral_date <= returned.year_end
        and (
            referral.closure_date > returned.year_end
            or (
                referral.closure_date is null
                and returned.collection_year <= referral.last_return_year
            )
        )
    where not referral.is_no_further_action
),

status as (
    select *, true as is_assessed_in_need, 'looked_after' as what from looked_after
    union all by name
    select *, true as is_assessed_in_need, 'child_protection_plan' as what from on_plan
    union all by name
    select *, 'child_in_need' as what from in_need
)

select
    person_id,
    year_end,
    bool_or(what = 'looked_after') as is_looked_after,
    bool_or(what = 'child_protection_plan') as is_on_child_protection_plan,
    bool_or(what = 'child_in_need') as is_child_in_need,
    bool_or(what = 'child_in_need' and is_assessed_in_need) as is_assessed_in_need,
    case
        when bool_or(what = 'looked_after') then 'CLA'
        when bool_or(what = 'child_protection_plan') then 'CPP'
        when bool_or(is_assessed_in_need) then 'CIN'
        else 'none'
    end as social_care_group
from status
group by person_id, year_end
