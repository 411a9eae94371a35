-- Where any source says a person lived, in months and areas. The NHS spine gives periods; the others
-- give where a child lived on a day: census day, admission, or the day care started.
with pupil_address as (
    select delivery_id, true as is_on_roll, pupil_on_roll_id as pupil_id,
        lsoa21_code, lsoa11_code, la_code
    from {{ accepted('school_census', 'addresses_on_roll') }}
    union all by name
    select delivery_id, false as is_on_roll, pupil_no_longer_on_roll_id as pupil_id,
        lsoa21_code, lsoa11_code, la_code
    from {{ accepted('school_census', 'addresses_off_roll') }}
),

observation as (
    select
        person_id, 'pds_demographics' as feed,
        date_trunc('month', address_from_date) as from_month,
        -- an end before the start is no later than the start
        date_trunc('month', greatest(address_to_date, address_from_date)) as to_month,
        address_to_date is null as is_current,
        lsoa21_code, lsoa11_code, la_code
    from {{ ref('stg_pds__address') }}
    where {{ plausible_date('address_from_date') }} is not null
    union all by name
    select
        pupil.person_id, 'school_census' as feed,
        pupil.delivery_month as from_month, pupil.delivery_month as to_month,
        false as is_current,
        address.lsoa21_code, address.lsoa11_code, address.la_code
    from pupil_address as address
    inner join {{ ref('stg_school_census__pupil') }} as pupil
        using (delivery_id, is_on_roll, pupil_id)
    where not pupil.is_key_ambiguous
    union all by name
    select
        person_id, 'sus_apc' as feed,
        date_trunc('month', admission_date) as from_month,
        date_trunc('month', admission_date) as to_month,
        false as is_current,
        lsoa21_code, coalesce(lsoa11_code, supplier_lsoa11_code) as lsoa11_code, la_code
    from {{ ref('stg_sus_apc__spell') }}
    where {{ plausible_date('admission_date') }} is not null
    union all by name
    select
        person_id, 'ssda903' as feed,
        date_trunc('month', episode_start_date) as from_month,
        date_trunc('month', episode_start_date) as to_month,
        false as is_current,
        home_lsoa21_code as lsoa21_code, home_lsoa11_code as lsoa11_code, home_la_code as la_code
    from {{ ref('int_looked_after_episode_repaired') }}
    where new_episode_reason_code = 'S'
)

select * exclude (from_month, to_month), from_month::date as from_month, to_month::date as to_month
from observation
where lsoa21_code is not null or lsoa11_code is not null
