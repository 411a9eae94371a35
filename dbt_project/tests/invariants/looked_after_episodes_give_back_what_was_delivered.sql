-- The repaired episodes with their delivered ends, and the removed ones, are the delivered rows of
-- children, no more and no fewer (dates coarsened in the months of birth and death on both sides).
{% set codes = episode_codes() | join(', ') %}
with delivered as (
    select
        person_id,
        local_authority,
        return_year,
        {{ coarsen_event_date('episode_start_date', 'birth_month') }} as start_date,
        {{ coarsen_event_date('episode_end_date', 'birth_month') }} as end_date,
        episode_end_reason_code,
        {{ codes }}
    from {{ ref('stg_ssda903__episode') }}
    inner join {{ ref('child') }} using (person_id)
),

given_back as (
    select
        person_id, local_authority, last_return_year as return_year, episode_start_date,
        delivered_end_date, delivered_end_reason_code, {{ codes }}
    from {{ ref('looked_after_episode') }}
    union all
    select
        person_id, local_authority, return_year, delivered_start_date,
        delivered_end_date, delivered_end_reason_code, {{ codes }}
    from {{ ref('looked_after_episode_removed') }}
)

select 1 from (select * from delivered except all select * from given_back)
union all
select 1 from (select * from given_back except all select * from delivered)
