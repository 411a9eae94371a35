-- An authority that made a return has every rule, also those that changed nothing there.
with named as (
    select local_authority, unnest(string_split(repair_rule, ', ')) as repair_rule
    from {{ ref('looked_after_episode') }}
    union all
    select local_authority, repair_rule from {{ ref('looked_after_episode_removed') }}
),

used as (
    select local_authority, repair_rule, count(*) as episodes from named group by all
),

delivered as (
    select local_authority, count(*) as episodes
    from {{ ref('stg_ssda903__episode') }}
    inner join {{ ref('child') }} using (person_id)
    group by local_authority
)

select
    delivered.local_authority,
    rule.repair_rule,
    cast(rule.rule_order as integer) as rule_order,
    rule.action,
    rule.what_is_wrong,
    rule.what_is_done,
    rule.basis,
    rule.source,
    {{ rounded_count('coalesce(used.episodes, 0)') }} as repaired_episodes,
    {{ rounded_count('delivered.episodes') }} as delivered_episodes
from delivered
cross join {{ ref('episode_repair_rule') }} as rule
left join used
    on used.local_authority = delivered.local_authority and used.repair_rule = rule.repair_rule
