select
    attendance.person_id,
    attendance.attendance_number,
    cast(diagnosis.diagnosis_number as integer) as diagnosis_position,
    diagnosis.is_primary,
    diagnosis.diagnosis_snomed_code,
    diagnosis.diagnosis_qualifier_snomed_code,
    diagnosis.is_diagnosis_code_approved as is_approved_code,
    diagnosis.is_injury_related
from {{ ref('int_emergency_attendance') }} as attendance
{{ of_records('attendance', 'sus_ecds', 'diagnosis', 'attendance_id') }}
where diagnosis.diagnosis_snomed_code is not null
qualify row_number() over (
    partition by attendance.person_id, attendance.attendance_number, diagnosis.diagnosis_number
    order by diagnosis.row_number
) = 1
