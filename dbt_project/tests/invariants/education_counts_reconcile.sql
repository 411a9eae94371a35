-- Every result, request and plan of a child that was delivered is in the curated table once, and
-- every session is in one month. Marks in the months of birth and death are left out.
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
            select count(distinct (
                delivered.person_id, delivered.school_urn, delivered.session_date,
                delivered.session_code
            ))
            from {{ accepted_person('attendance_daily', 'sessions') }} as delivered
            inner join {{ ref('child') }} as child using (person_id)
            where
                delivered.session_date is not null
                and not {{ in_vital_month('delivered.session_date', 'child.birth_month') }}
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
