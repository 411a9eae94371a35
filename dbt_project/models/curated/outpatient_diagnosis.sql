select
    appointment.person_id,
    appointment.appointment_number,
    cast(diagnosis.diagnosis_number as integer) as diagnosis_position,
    {{ clean_icd10('diagnosis.diagnosis_icd10_code') }} as icd10_code,
    diagnosis.diagnosis_icd10_code as source_icd10_code
from {{ ref('int_outpatient_appointment') }} as appointment
{{ of_records('appointment', 'sus_op', 'diagnosis', 'appointment_id') }}
where diagnosis.diagnosis_icd10_code is not null
qualify row_number() over (
    partition by appointment.person_id, appointment.appointment_number, diagnosis.diagnosis_number
    order by diagnosis.row_number
) = 1
