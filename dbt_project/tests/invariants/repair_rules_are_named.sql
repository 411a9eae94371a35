-- Every rule named in the data is one of the reference table, with the action it states; an episode
-- that no rule names is as delivered, and one that a rule names is not.
with named as (
    select unnest(string_split(repair_rule, ', ')) as repair_rule, 'changed' as action
    from {{ ref('looked_after_episode') }}
    union all
    select repair_rule, 'removed' from {{ ref('looked_after_episode_removed') }}
)

select 1
from named
anti join {{ ref('episode_repair_rule') }} using (repair_rule, action)
where named.repair_rule is not null
union all
select 1
from {{ ref('int_looked_after_episode_repaired') }}
where (repair_rule is null) <> (
    episode_end_date is not distinct from delivered_end_date
    and episode_end_reason_code is not distinct from delivered_end_reason_code
)
