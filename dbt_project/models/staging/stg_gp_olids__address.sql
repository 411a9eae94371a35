-- Homes of patients who count: the area of the postcode and the supplier's mask of the property,
-- each in its latest version.
with address as (
    select address.*
    from {{ newest_snapshot('patient_address') }} as address
    inner join {{ ref('stg_gp_olids__patient') }} using (record_key)
    qualify row_number() over (
        partition by address.delivery_id, address.address_id
        order by address.acquired_at desc nulls last, address.row_number desc
    ) = 1
),

place as (
    select delivery_id, place_id, lsoa21_code, lsoa11_code, la_code
    from {{ accepted('gp_olids', 'place') }}
    where not coalesce(is_deleted, false)
    qualify row_number() over (
        partition by delivery_id, place_id
        order by is_latest desc nulls last, valid_from_at desc nulls last, row_number desc
    ) = 1
),

home as (
    select delivery_id, address_id, home_id, coalesce(is_deleted, false) as is_deleted
    from {{ accepted('gp_olids', 'patient_uprn') }}
    qualify row_number() over (
        partition by delivery_id, address_id order by acquired_at desc nulls last, row_number desc
    ) = 1
)

select
    address.person_id,
    address.record_key,
    case when not home.is_deleted then home.home_id end as home_id,
    cast(date_trunc('month', address.address_start_date) as date) as from_month,
    -- an end before the start is no later than the start
    cast(date_trunc(
        'month', greatest(address.address_end_date, address.address_start_date)
    ) as date) as to_month,
    address.address_end_date is null as is_current,
    place.lsoa21_code,
    place.lsoa11_code,
    place.la_code
from address
left join place
    on place.delivery_id = address.delivery_id and place.place_id = address.place_id
left join home
    on home.delivery_id = address.delivery_id and home.address_id = address.address_id
where {{ plausible_date('address.address_start_date') }} is not null
