-- Where any source says a person lived, in months and areas. The NHS spine, general practice and
-- the safeguarding dataset give periods; the others give where a child lived on a day: census day,
-- admission, or the day care started.
{# Feed, relation, the day on which the child lived there, and the columns of the areas. -#}
{% set areas = ['lsoa21_code', 'lsoa11_code', 'la_code'] -%}
{% set with_supplier = [
    'lsoa21_code', 'coalesce(lsoa11_code, supplier_lsoa11_code) as lsoa11_code', 'la_code'
] -%}
{% set home = [
    'home_lsoa21_code as lsoa21_code', 'home_lsoa11_code as lsoa11_code', 'home_la_code as la_code'
] -%}
{% set days = [
    ('sen2', accepted_person('sen2', 'person'), 'delivery_month', home),
    ('sus_apc', ref('stg_sus_apc__spell'), 'admission_date', with_supplier),
    ('sus_op', ref('stg_sus_op__appointment'), 'appointment_date', with_supplier),
    ('sus_ecds', ref('stg_sus_ecds__attendance'), 'arrival_date', with_supplier),
    ('csds', ref('stg_csds__patient'), 'delivery_month', with_supplier),
    ('mhsds', ref('stg_mhsds__patient'), 'delivery_month', with_supplier),
    ('ncmp', ref('stg_ncmp__upload'), 'measurement_date', areas),
    ('ncmp', ref('stg_ncmp__enhanced'), 'measurement_date', areas),
] -%}
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
        person_id, 'ssda903' as feed,
        date_trunc('month', episode_start_date) as from_month,
        date_trunc('month', episode_start_date) as to_month,
        false as is_current,
        home_lsoa21_code as lsoa21_code, home_lsoa11_code as lsoa11_code, home_la_code as la_code
    from {{ ref('int_looked_after_episode_repaired') }}
    where new_episode_reason_code = 'S'
    union all by name
    select
        person_id, 'gp_olids' as feed, from_month, to_month, is_current,
        lsoa21_code, lsoa11_code, la_code
    from {{ ref('stg_gp_olids__address') }}
    union all by name
    select
        person_id, 'ssd' as feed,
        date_trunc('month', address_start_date) as from_month,
        date_trunc('month', greatest(address_end_date, address_start_date)) as to_month,
        address_end_date is null as is_current,
        lsoa21_code, lsoa11_code, la_code
    from {{ accepted_person('ssd', 'address') }}
    where {{ plausible_date('address_start_date') }} is not null
    {%- for feed, relation, day, columns in days %}
    union all by name
    select distinct
        person_id, '{{ feed }}' as feed,
        date_trunc('month', {{ day }}) as from_month, date_trunc('month', {{ day }}) as to_month,
        false as is_current, {{ columns | join(', ') }}
    from {{ relation }}
    where {{ plausible_date(day) }} is not null
    {%- endfor %}
)

select * exclude (from_month, to_month), from_month::date as from_month, to_month::date as to_month
from observation
where lsoa21_code is not null or lsoa11_code is not null
