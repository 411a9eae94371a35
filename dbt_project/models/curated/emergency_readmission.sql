-- Exact dates are compared; days are shown only where both show their own.
with spell as (
    select
        admission.person_id,
        admission.admission_number,
        admission.admission_date,
        admission.discharge_date,
        admission.is_date_coarsened,
        admission.is_birth,
        admission.admission_method_code,
        case
            when admission.discharge_method_code = '4' then 'died'
            when admission.patient_classification_code in ('2', '3', '4') then 'day_or_regular'
            when marked.is_cancer then 'cancer'
            when marked.is_obstetric then 'obstetric'
        end as excluded_because,
        coalesce(marked.is_cancer or marked.is_obstetric, false) as is_cancer_or_obstetric
    from {{ ref('int_hospital_admission') }} as admission
    left join (
        select
            person_id,
            admission_number,
            bool_or(diagnosis_group = 'cancer') as is_cancer,
            bool_or(diagnosis_group = 'obstetric') as is_obstetric
        from {{ ref('hospital_diagnosis_group') }}
        group by person_id, admission_number
    ) as marked using (person_id, admission_number)
),

-- Each emergency admission belongs to the last discharge before it.
returned as (
    select
        later.person_id,
        later.admission_number as readmission_number,
        later.admission_date,
        later.is_date_coarsened,
        earlier.admission_number,
        date_diff('day', earlier.discharge_date, later.admission_date) as days_to_readmission
    from spell as later
    inner join spell as earlier
        on earlier.person_id = later.person_id
        and earlier.admission_number < later.admission_number
        and earlier.discharge_date <= later.admission_date
    where later.admission_method_code like '2_'
        -- a transfer and a birth are no return to hospital
        and later.admission_method_code not in ('2B', '2C')
        and not later.is_cancer_or_obstetric
    qualify row_number() over (
        partition by later.person_id, later.admission_number
        order by earlier.discharge_date desc, earlier.admission_number desc
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
    spell.person_id,
    spell.admission_number,
    spell.is_birth,
    spell.excluded_because,
    spell.discharge_date + 29 <= last_day.data_end_date as is_follow_up_complete,
    readmission.readmission_number is not null as is_readmitted,
    readmission.readmission_number,
    cast(case
        when not (spell.is_date_coarsened or readmission.is_date_coarsened)
            then readmission.days_to_readmission
    end as integer) as days_to_readmission
from spell
cross join last_day
left join readmission using (person_id, admission_number)
where spell.discharge_date is not null
