-- Dates and nights as far as the admissions themselves show them: a stay of several spells of which
-- one shows only months tells no nights, as the others' days and the nights would tell its own.
with spell as (
    select *
    from {{ ref('int_hospital_admission') }}
    inner join {{ ref('int_hospital_stay_spell') }} using (person_id, admission_number)
),

stay as (
    select
        person_id,
        stay_number,
        min(admission_number) as first_admission_number,
        max(admission_number) as last_admission_number,
        count(*) as spell_count,
        count(distinct provider_code) as provider_count,
        bool_or(is_date_coarsened) as is_date_coarsened,
        date_diff(
            'day',
            arg_min(admission_date, admission_number),
            arg_max(discharge_date, admission_number)
        ) as nights,
        -- arg_max passes nulls over: the last spell may be open
        bool_or(discharge_date is null) as is_open
    from spell
    group by person_id, stay_number
)

select
    stay.person_id,
    stay.stay_number,
    cast(stay.first_admission_number as integer) as first_admission_number,
    cast(stay.last_admission_number as integer) as last_admission_number,
    first_spell.admission_date,
    last_spell.discharge_date,
    stay.is_date_coarsened,
    cast(case
        when stay.spell_count = 1 then first_spell.length_of_stay_days
        when not stay.is_date_coarsened and not stay.is_open then stay.nights
    end as integer) as length_of_stay_days,
    first_spell.admission_age_years,
    first_spell.admission_method_code,
    first_spell.is_emergency,
    first_spell.is_birth,
    first_spell.is_unplanned,
    last_spell.discharge_method_code,
    last_spell.discharge_destination_code,
    cast(stay.spell_count as integer) as spell_count,
    cast(stay.provider_count as integer) as provider_count,
    'NHS 2014, two days' as stay_rule
from stay
inner join {{ ref('hospital_admission') }} as first_spell
    on first_spell.person_id = stay.person_id
    and first_spell.admission_number = stay.first_admission_number
inner join {{ ref('hospital_admission') }} as last_spell
    on last_spell.person_id = stay.person_id
    and last_spell.admission_number = stay.last_admission_number
