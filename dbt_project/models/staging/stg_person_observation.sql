-- Everything any source says about who a person is: one row per source record and return.
-- `source_rank` is the order in which ties are settled: education, social care, the NHS spine,
-- hospital (the project's order).
with observation as (
    select
        person_id, link_tier, 'school_census' as feed, 1 as source_rank, delivery_year as year,
        delivery_month as seen_month, sex_code, birth_month, ethnicity_code,
        cast(null as date) as death_month
    from {{ ref('stg_school_census__pupil') }}
    union all by name
    select
        person_id, link_tier, 'cin_census' as feed, 2 as source_rank, delivery_year as year,
        delivery_month as seen_month, sex_code, birth_month, ethnicity_code, death_month
    from {{ ref('stg_cin_census__child') }}
    union all by name
    select
        person_id, link_tier, 'ssda903' as feed, 3 as source_rank, delivery_year as year,
        delivery_month as seen_month, sex_code, birth_month, ethnicity_code
    from {{ ref('stg_ssda903__child') }}
    union all by name
    select
        person_id, link_tier, 'pds_demographics' as feed, 4 as source_rank, year(delivery_month) as year,
        delivery_month as seen_month, sex_code, birth_month, ethnicity_code, death_month
    from {{ ref('stg_pds__person') }}
    union all by name
    select
        person_id, link_tier, 'sus_apc' as feed, 5 as source_rank, delivery_year as year,
        cast(coalesce(date_trunc('month', admission_date), delivery_month) as date) as seen_month,
        sex_code, birth_month, ethnicity_code, pds_death_month as death_month
    from {{ ref('stg_sus_apc__spell') }}
)

select
    observation.* exclude (sex_code, ethnicity_code),
    -- null when the code is not one of this feed's in that year, or says "not known"
    nullif(sex.sex, 'U') as sex,
    case when ethnicity.ons2011_group <> 'Unknown' then ethnicity.ethnicity_code end
        as ethnicity_code
from observation
left join {{ ref('sex') }} as sex
    on sex.feed = observation.feed
    and sex.source_code = observation.sex_code
    and coalesce(observation.year >= sex.since, true)
    and coalesce(observation.year <= sex.until, true)
left join {{ ref('ethnicity') }} as ethnicity
    on ethnicity.source_code = upper(trim(observation.ethnicity_code))
