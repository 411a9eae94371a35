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
),

lived as (
    select
        person_id,
        feed,
        cast(stay_number as integer) as stay_number,
        min(from_month) as from_month,
        case when not bool_or(is_current) then max(to_month) end as to_month,
        min(lsoa21_code) as lsoa21_code,
        min(lsoa11_code) as lsoa11_code,
        min(la_code) as la_code
    from stay
    group by person_id, feed, stay_number
)

select lived.* from {{ with_deprivation('lived') }} as lived
