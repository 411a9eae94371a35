-- The framework changed in 2021/22: goals G01 to G17 before, E01 to E17 since. In both the first
-- twelve are the prime areas, literacy and mathematics.
with result as (
    select
        *,
        case when academic_year >= 2022
            then [
                {%- for n in range(1, 18) %}goal_e{{ '%02d' % n }}_code{{ ', ' if not loop.last }}
                {%- endfor %}]
            else [
                {%- for n in range(1, 18) %}goal_g{{ '%02d' % n }}_code{{ ', ' if not loop.last }}
                {%- endfor %}]
        end as goals
    from {{ results('eyfsp') }}
),

counted as (
    select
        *,
        len(list_filter(goals, lambda goal: goal in ('1', '2', '3'))) as assessed,
        len(list_filter(goals, lambda goal: goal in ('2', '3'))) as expected,
        len(list_filter(goals[1:12], lambda goal: goal in ('1', '2', '3'))) as main_assessed,
        len(list_filter(goals[1:12], lambda goal: goal in ('2', '3'))) as main_expected,
        list_contains(goals, 'A') as is_not_assessed
    from result
)

select
    person_id,
    academic_year,
    school_id,
    local_authority,
    cast(assessed as integer) as goals_assessed,
    cast(expected as integer) as goals_expected,
    case
        when is_not_assessed then null
        when main_assessed = 12 then main_expected = 12
        else is_good_level_of_development
    end as is_good_level_of_development,
    case when assessed = 17 then expected = 17 end as is_expected_in_all_goals,
    is_good_level_of_development as is_reported_good_level_of_development
from counted
qualify {{ one_result('nullif(assessed, 0)') }}
