-- Everything any source says about who a person is: one row per source record and return, with sex
-- and ethnicity harmonised and the source's own codes beside them. `source_rank` is the order in
-- which ties are settled (seed source_feed). A table, because several models read all of it.
{{ config(materialized='table') }}
{# Feed, relation, when the child was seen, and which of sex, birth, ethnicity and death it tells. -#}
{% set delivered = 'delivery_month' -%}
{% set birth_or_delivered = month_or_delivered('birth_month') -%}
{% set death_or_delivered = month_or_delivered('death_month') -%}
{% set three = ['sex_code', 'birth_month', 'ethnicity_code'] -%}
{% set two = ['sex_code', 'birth_month'] -%}
{# a register repeats who the pupil is in every session -#}
{% set registers -%}
(
    select distinct
        person_id, link_tier, delivery_year, delivery_month, sex_code, birth_month, ethnicity_code
    from {{ accepted_person('attendance_daily', 'sessions') }}
)
{%- endset -%}
{% set sources = [
    ('school_census', ref('stg_school_census__pupil'), delivered, three),
    ('npd_attainment', accepted_person('npd_attainment', 'eyfsp'), delivered, two),
    ('npd_attainment', accepted_person('npd_attainment', 'phonics'), delivered, two),
    ('npd_attainment', accepted_person('npd_attainment', 'ks1'), delivered, two),
    ('npd_attainment', accepted_person('npd_attainment', 'mtc'), delivered, two),
    ('npd_attainment', accepted_person('npd_attainment', 'ks2'), delivered, two),
    ('npd_attainment', accepted_person('npd_attainment', 'ks4'), delivered, two),
    ('npd_attainment', accepted_person('npd_attainment', 'pupil_premium'), delivered, two),
    ('sen2', ref('stg_sen2__person'), delivered, three),
    ('attendance_daily', registers, delivered, three),
    ('cin_census', ref('stg_cin_census__child'), delivered, three + ['death_month']),
    ('ssda903', ref('stg_ssda903__child'), delivered, three),
    ('ssd', accepted_person('ssd', 'person'), delivered, three + ['death_month']),
    ('pds_demographics', ref('stg_pds__person'), delivered, three + ['death_month']),
    ('gp_olids', ref('stg_gp_olids__patient'), delivered, three + ['death_month']),
    ('sus_apc', ref('stg_sus_apc__spell'), month_or_delivered('admission_date'),
        three + ['pds_death_month as death_month']),
    ('sus_op', ref('stg_sus_op__appointment'), month_or_delivered('appointment_date'),
        three + ['pds_death_month as death_month']),
    ('sus_ecds', ref('stg_sus_ecds__attendance'), month_or_delivered('arrival_date'), three),
    ('csds', ref('stg_csds__patient'), delivered, three + ['death_month']),
    ('mhsds', ref('stg_mhsds__patient'), delivered, three + ['death_month']),
    ('ncmp', ref('stg_ncmp__upload'), delivered, three),
    ('ncmp', ref('stg_ncmp__enhanced'), delivered, three),
    ('births_registration', ref('stg_births_registration__birth'), birth_or_delivered, two),
    ('birth_notification', ref('stg_birth_notification__notification'), birth_or_delivered,
        three + ['death_month']),
    ('msds', ref('stg_msds__maternity_record'), birth_or_delivered, two),
    ('deaths_registration', ref('stg_deaths_registration__death'), death_or_delivered,
        two + ['death_month']),
    ('child_death_review', ref('stg_child_death_review__child_death'), death_or_delivered,
        three + ['death_month']),
] -%}
with recorded as (
    {%- for feed, relation, seen, told in sources %}
    {{ 'union all by name' if not loop.first }}
    select
        person_id, link_tier, '{{ feed }}' as feed, delivery_year as year,
        cast({{ seen }} as date) as seen_month, {{ told | join(', ') }}
    from {{ relation }}
    {%- endfor %}
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
