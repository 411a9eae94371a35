-- Stays: consecutive addresses of one child in one home become one row, and a stay ends at the latest
-- when the next begins (a child may be registered at two practices).
with lived as (
    select *
    from {{ ref('stg_gp_olids__address') }}
    where home_id is not null and person_id in (select person_id from {{ ref('child') }})
    -- one home a month: the current one, then the one lived in longest
    qualify row_number() over (
        partition by person_id, from_month
        order by is_current desc, to_month desc nulls last, home_id
    ) = 1
),

marked as (
    select
        *,
        home_id is distinct from lag(home_id) over (
            partition by person_id order by from_month
        ) as is_move
    from lived
),

numbered as (
    select
        *,
        sum(is_move::integer) over (partition by person_id order by from_month) as stay_number
    from marked
),

merged as (
    select
        person_id,
        stay_number,
        home_id as household_id,
        min(from_month) as from_month,
        case when not bool_or(is_current) then max(to_month) end as last_month,
        -- the area as the newest address of the stay gives it
        arg_max(lsoa21_code, from_month) as lsoa21_code,
        arg_max(lsoa11_code, from_month) as lsoa11_code,
        arg_max(la_code, from_month) as la_code
    from numbered
    group by person_id, stay_number, home_id
),

stay as (
    select
        * exclude (last_month),
        case
            when next_month is null then last_month
            else least(coalesce(last_month, next_month), next_month)
        end as to_month
    from (
        select
            *, lead(from_month) over (partition by person_id order by from_month) as next_month
        from merged
    )
),

company as (
    select
        stay.person_id,
        stay.stay_number,
        count(distinct other.person_id) as other_child_count
    from stay
    inner join stay as other
        on other.household_id = stay.household_id
        and other.person_id <> stay.person_id
        and other.from_month <= coalesce(stay.to_month, other.from_month)
        and coalesce(other.to_month, stay.from_month) >= stay.from_month
    group by stay.person_id, stay.stay_number
)

select
    placed.person_id,
    cast(placed.stay_number as integer) as stay_number,
    placed.household_id,
    placed.from_month,
    placed.to_month,
    cast(coalesce(company.other_child_count, 0) as integer) as other_child_count,
    placed.lsoa21_code,
    placed.lsoa11_code,
    placed.la_code,
    placed.imd_2019_decile,
    placed.imd_2019_quintile,
    placed.imd_2025_decile,
    placed.imd_2025_quintile
from {{ with_deprivation('stay') }} as placed
left join company
    on company.person_id = placed.person_id and company.stay_number = placed.stay_number
