-- Everything any source says about who a person is: one row per source record and return, with sex
-- and ethnicity harmonised and the source's own codes beside them. `source_rank` is the order in
-- which ties are settled (seed source_feed).
with recorded as (
    select
        person_id, link_tier, 'school_census' as feed, delivery_year as year,
        delivery_month as seen_month, sex_code, birth_month, ethnicity_code,
        cast(null as date) as death_month
    from {{ ref('stg_school_census__pupil') }}
    union all by name
    select
        person_id, link_tier, 'cin_census' as feed, delivery_year as year,
        delivery_month as seen_month, sex_code, birth_month, ethnicity_code, death_month
    from {{ ref('stg_cin_census__child') }}
    union all by name
    select
        person_id, link_tier, 'ssda903' as feed, delivery_year as year,
        delivery_month as seen_month, sex_code, birth_month, ethnicity_code
    from {{ ref('stg_ssda903__child') }}
    union all by name
    select
        person_id, link_tier, 'pds_demographics' as feed, delivery_year as year,
        delivery_month as seen_month, sex_code, birth_month, ethnicity_code, death_month
    from {{ ref('stg_pds__person') }}
    union all by name
    select
        person_id, link_tier, 'sus_apc' as feed, delivery_year as year,
        cast(coalesce(date_trunc('month', admission_date), delivery_month) as date) as seen_month,
        sex_code, birth_month, ethnicity_code, pds_death_month as death_month
    from {{ ref('stg_sus_apc__spell') }}
),

observation as (
    select
        recorded.* rename (
            sex_code as source_sex_code, ethnicity_code as source_ethnicity_code
        ),
        source_feed.source_rank
    from recorded
    inner join {{ ref('source_feed') }} as source_feed using (feed)
)

select harmonised.* from {{ harmonised('observation') }} as harmonised
