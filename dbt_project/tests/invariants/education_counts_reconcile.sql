-- Every result, request and plan of a child that was delivered is in the curated table once, and
-- every session is in one month.
{% set data_sets = ['eyfsp', 'phonics', 'ks1', 'mtc', 'ks2', 'ks4'] %}
with counted as (
    {% for data_set in data_sets %}
    select
        'attainment_{{ data_set }}' as model,
        (select count(*) from {{ ref('attainment_' ~ data_set) }}) as curated,
        (
            select count(distinct (person_id, {{ academic_year_of('academic_year_text') }}))
            from {{ accepted_person('npd_attainment', data_set) }}
            inner join {{ ref('child') }} using (person_id)
            where {{ academic_year_of('academic_year_text') }} is not null
        ) as expected
    union all
    {% endfor %}
    select
        'ehc_request',
        (select count(*) from {{ ref('ehc_request') }}),
        (
            select count(distinct (person_id, local_authority, request_received_date))
            from {{ ref('stg_sen2__request') }}
            inner join {{ ref('child') }} using (person_id)
        )
    union all
    select
        'ehc_plan',
        (select count(*) from {{ ref('ehc_plan') }}),
        (
            select count(distinct (person_id, local_authority, request_received_date))
            from (
                select person_id, local_authority, request_received_date
                from {{ ref('stg_sen2__named_plan') }}
                union all
                select person_id, local_authority, request_received_date
                from {{ ref('stg_sen2__active_plan') }}
            )
            inner join {{ ref('child') }} using (person_id)
        )
    union all
    select
        'attendance_session',
        (select count(*) from {{ ref('attendance_session') }}),
        (
            select count(distinct (person_id, school_urn, session_date, session_code))
            from {{ accepted_person('attendance_daily', 'sessions') }}
            inner join {{ ref('child') }} using (person_id)
            where session_date is not null
        )
    union all
    select
        'attendance_month',
        (select sum(possible_sessions) from {{ ref('attendance_month') }}),
        (
            select case when count(*) > 0 then count(*) filter (where is_possible_session) end
            from {{ ref('attendance_session') }}
        )
)

select model
from counted
where curated is distinct from expected
