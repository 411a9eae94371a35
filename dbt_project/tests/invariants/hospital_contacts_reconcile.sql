-- Every outpatient and emergency record of a child that was staged is in the curated table once, or
-- was left out by a stated rule; every discharge has its row on readmission.
with counted as (
    select
        'outpatient_appointment' as model,
        (select count(*) from {{ ref('outpatient_appointment') }}) as curated,
        (
            select count(distinct (
                person_id, provider_code, appointment_date,
                coalesce(provider_appointment_number, appointment_id)
            ))
            from {{ ref('stg_sus_op__appointment') }}
            inner join {{ ref('child') }} using (person_id)
            where {{ plausible_date('appointment_date') }} is not null
                and first_attendance_code is distinct from '5'
                and attendance_status_code is distinct from '0'
        ) as expected
    union all
    select
        'emergency_attendance',
        (select count(*) from {{ ref('emergency_attendance') }}),
        (
            select count(distinct (
                person_id, provider_code, arrival_date,
                coalesce(provider_attendance_number, attendance_id)
            ))
            from {{ ref('stg_sus_ecds__attendance') }}
            inner join {{ ref('child') }} using (person_id)
            where {{ plausible_date('arrival_date') }} is not null
        )
    union all
    select
        'emergency_readmission',
        (select count(*) from {{ ref('emergency_readmission') }}),
        (
            select count(*) from {{ ref('hospital_continuous_stay') }}
            where discharge_date is not null
        )
    union all
    select
        'hospital_continuous_stay',
        (select sum(spell_count) from {{ ref('hospital_continuous_stay') }}),
        (select count(*) from {{ ref('hospital_admission') }})
    union all
    -- an emergency admission is the return from one discharge at most
    select
        'emergency_readmission.readmission_number',
        (select count(readmission_number) from {{ ref('emergency_readmission') }}),
        (
            select count(distinct (person_id, readmission_number))
            from {{ ref('emergency_readmission') }}
            where readmission_number is not null
        )
)

select model
from counted
where curated is distinct from expected
