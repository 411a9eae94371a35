-- To which continuous stay each provider spell belongs. A spell continues the one before it where the
-- patient was moved: admitted 0 to 2 days after that one's discharge, with a sign of a transfer (where
-- discharged to, where admitted from, or how admitted), and not sent home and brought in again as an
-- emergency. Regular day and night attenders are stays of their own, and none is passed over to reach
-- the spell before. The rule is that of the NHS methodology for continuous inpatient spells (2014).
with ordinary as (
    select
        *,
        lag(discharge_date) over ordered as earlier_discharge_date,
        lag(discharge_destination_code) over ordered as earlier_destination_code
    from {{ ref('int_hospital_admission') }}
    where patient_classification_code is null or patient_classification_code not in ('3', '4')
    window ordered as (partition by person_id order by admission_number)
),

moved as (
    select
        person_id,
        admission_number,
        coalesce(
            date_diff('day', earlier_discharge_date, admission_date) between 0 and 2
            and (
                coalesce(earlier_destination_code in ('49', '50', '51', '52', '53', '84'), false)
                or coalesce(admission_source_code in ('49', '50', '51', '52', '53', '87'), false)
                or {{ is_transfer_method('admission_method_code') }}
            )
            and not (
                coalesce(earlier_destination_code = '19', false)
                and coalesce(admission_source_code = '51', false)
                and coalesce(admission_method_code = '21', false)
            ),
            false
        ) as is_continued
    from ordinary
),

headed as (
    -- a regular attender's spell between two of a stay does not end the stay
    select
        spell.person_id,
        spell.admission_number,
        coalesce(moved.is_continued, false) as is_continued,
        max(case when not coalesce(moved.is_continued, false) then spell.admission_number end) over (
            partition by spell.person_id, moved.admission_number is null
            order by spell.admission_number
        ) as first_admission_number
    from {{ ref('int_hospital_admission') }} as spell
    left join moved using (person_id, admission_number)
)

select
    person_id,
    admission_number,
    not is_continued as is_first_of_stay,
    cast(dense_rank() over (
        partition by person_id order by first_admission_number
    ) as integer) as stay_number
from headed
