-- Exact dates are compared; days are shown only where both show their own. A move to another hospital
-- is neither a discharge nor a return: what is counted is continuous stays.
with stay as (
    select
        spell.person_id,
        continuous.stay_number,
        min(spell.admission_number) as first_admission_number,
        max(spell.admission_number) as admission_number,
        arg_min(spell.admission_date, spell.admission_number) as admission_date,
        arg_max(spell.discharge_date, spell.admission_number)
            filter (where spell.discharge_date is not null) as last_discharge_date,
        bool_or(spell.discharge_date is null) as is_open,
        arg_min(spell.is_date_coarsened, spell.admission_number) as is_admission_coarsened,
        arg_max(spell.is_date_coarsened, spell.admission_number) as is_discharge_coarsened,
        arg_min(spell.is_birth, spell.admission_number) as is_birth,
        arg_min(spell.is_unplanned, spell.admission_number) as is_unplanned,
        bool_or(coalesce(spell.discharge_method_code = '4', false)) as has_died,
        bool_and(coalesce(spell.patient_classification_code in ('2', '3', '4'), false))
            as is_day_or_regular,
        bool_or(coalesce(marked.is_cancer, false)) as is_cancer,
        bool_or(coalesce(marked.is_obstetric, false)) as is_obstetric
    from {{ ref('int_hospital_admission') }} as spell
    inner join {{ ref('int_hospital_stay_spell') }} as continuous using (person_id, admission_number)
    left join (
        select
            person_id,
            admission_number,
            bool_or(diagnosis_group = 'cancer') as is_cancer,
            bool_or(diagnosis_group = 'obstetric') as is_obstetric
        from {{ ref('hospital_diagnosis_group') }}
        group by person_id, admission_number
    ) as marked using (person_id, admission_number)
    group by spell.person_id, continuous.stay_number
),

discharged as (
    select
        *,
        last_discharge_date as discharge_date,
        case
            when has_died then 'died'
            when is_day_or_regular then 'day_or_regular'
            when is_cancer then 'cancer'
            when is_obstetric then 'obstetric'
        end as excluded_because
    from stay
    where not is_open
),

-- Each unplanned admission belongs to the last discharge before it.
returned as (
    select
        later.person_id,
        later.first_admission_number as readmission_number,
        later.admission_date,
        later.is_admission_coarsened,
        earlier.admission_number,
        date_diff('day', earlier.discharge_date, later.admission_date) as days_to_readmission
    from stay as later
    inner join discharged as earlier
        on earlier.person_id = later.person_id
        and earlier.stay_number < later.stay_number
        and earlier.discharge_date <= later.admission_date
    where later.is_unplanned and not later.is_cancer and not later.is_obstetric
    qualify row_number() over (
        partition by later.person_id, later.stay_number
        order by earlier.discharge_date desc, earlier.stay_number desc
    ) = 1
),

readmission as (
    select *
    from returned
    where days_to_readmission between 0 and 29
    qualify row_number() over (
        partition by person_id, admission_number order by readmission_number
    ) = 1
),

last_day as (
    select last_day(max(period_month)) as data_end_date
    from {{ ref('stg_delivery') }}
    where feed = 'sus_apc'
)

select
    discharged.person_id,
    cast(discharged.admission_number as integer) as admission_number,
    discharged.stay_number,
    discharged.is_birth,
    discharged.excluded_because,
    discharged.discharge_date + 29 <= last_day.data_end_date as is_follow_up_complete,
    readmission.readmission_number is not null as is_readmitted,
    cast(readmission.readmission_number as integer) as readmission_number,
    cast(case
        when not (discharged.is_discharge_coarsened or readmission.is_admission_coarsened)
            then readmission.days_to_readmission
    end as integer) as days_to_readmission
from discharged
cross join last_day
left join readmission using (person_id, admission_number)
