-- A rate needs the children who could have been admitted: those under 19 whose home is known from a
-- source that gives periods, for the months of the year in which they were alive and at home here.
with financial_year as (
    select distinct
        collection_year as financial_year,
        make_date(collection_year - 1, 4, 1) as year_start,
        make_date(collection_year, 3, 31) as year_end
    from {{ ref('stg_delivery') }}
    where feed = 'sus_apc'
),

home as (
    select
        person_id,
        min(from_month) as from_month,
        case when count(*) = count(to_month) then max(to_month) end as to_month
    from {{ ref('address_history') }}
    where feed in ('pds_demographics', 'gp_olids', 'ssd')
    group by person_id
),

-- least and greatest pass over what is not known
bounded as (
    select
        child.person_id,
        child.birth_month,
        financial_year.financial_year,
        financial_year.year_end,
        greatest(financial_year.year_start, child.birth_month, home.from_month) as first_month,
        least(
            date_trunc('month', financial_year.year_end),
            child.death_month,
            home.to_month,
            child.birth_month + interval 19 year - interval 1 month
        ) as last_month
    from {{ ref('child') }} as child
    inner join home using (person_id)
    cross join financial_year
    where child.birth_month is not null
),

at_risk as (
    select *, date_diff('month', first_month, last_month) + 1 as months_at_risk
    from bounded
    where first_month <= last_month
),

avoidable as (
    select
        person_id,
        {{ financial_year('admission_date') }} as financial_year,
        count(distinct admission_number) as admissions,
        count(distinct admission_number) filter (where condition_kind = 'chronic') as chronic,
        count(distinct admission_number) filter (where condition_kind = 'acute') as acute,
        count(distinct admission_number) filter (where is_zero_night_stay) as zero_night
    from {{ ref('avoidable_admission') }}
    group by all
),

emergency as (
    select
        person_id,
        {{ financial_year('admission_date') }} as financial_year,
        count(*) as admissions
    from {{ ref('hospital_admission') }}
    where is_emergency and not is_birth
    group by all
),

place as (
    select * from {{ lived_at('at_risk', ['person_id', 'financial_year'], 'first_month') }}
)

select
    at_risk.person_id,
    cast(at_risk.financial_year as integer) as financial_year,
    at_risk.year_end,
    {{ completed_years('at_risk.birth_month', 'at_risk.first_month') }} as age_years,
    cast(at_risk.months_at_risk as integer) as months_at_risk,
    place.la_code,
    place.imd_2019_quintile,
    place.imd_2025_quintile,
    cast(coalesce(avoidable.admissions, 0) as integer) as avoidable_admission_count,
    cast(coalesce(avoidable.chronic, 0) as integer) as chronic_admission_count,
    cast(coalesce(avoidable.acute, 0) as integer) as acute_admission_count,
    cast(coalesce(avoidable.zero_night, 0) as integer) as zero_night_admission_count,
    cast(coalesce(emergency.admissions, 0) as integer) as emergency_admission_count
from at_risk
left join place using (person_id, financial_year)
left join avoidable using (person_id, financial_year)
left join emergency using (person_id, financial_year)
