-- Stays: consecutive observations of one source in one area become one row.
with placed as (
    select *, coalesce(lsoa21_code, lsoa11_code) as area
    from {{ ref('stg_address_observation') }}
    where person_id in (select person_id from {{ ref('child') }})
    -- one area a month and source: the one seen most often, then the one lived in longest
    qualify row_number() over (
        partition by person_id, feed, from_month
        order by is_current desc, to_month desc nulls last, area
    ) = 1
),

marked as (
    select
        *,
        area is distinct from lag(area) over (
            partition by person_id, feed order by from_month
        ) as is_move
    from placed
),

stay as (
    select
        *,
        sum(is_move::integer) over (
            partition by person_id, feed order by from_month
        ) as stay_number
    from marked
)

select
    stay.person_id,
    stay.feed,
    cast(stay.stay_number as integer) as stay_number,
    min(stay.from_month) as from_month,
    case when not bool_or(stay.is_current) then max(stay.to_month) end as to_month,
    min(stay.lsoa21_code) as lsoa21_code,
    min(stay.lsoa11_code) as lsoa11_code,
    min(stay.la_code) as la_code,
    min(imd_2019.imd_decile) as imd_2019_decile,
    cast(min((imd_2019.imd_decile + 1) // 2) as integer) as imd_2019_quintile,
    min(imd_2025.imd_decile) as imd_2025_decile,
    cast(min((imd_2025.imd_decile + 1) // 2) as integer) as imd_2025_quintile
from stay
left join {{ ref('imd_2019') }} as imd_2019 using (lsoa11_code)
left join {{ ref('imd_2025') }} as imd_2025 using (lsoa21_code)
group by stay.person_id, stay.feed, stay.stay_number
