select
    appointment.person_id,
    appointment.appointment_number,
    cast(procedure.procedure_number as integer) as procedure_position,
    nullif(regexp_replace(upper(procedure.procedure_opcs4_code), '[^A-Z0-9]', '', 'g'), '')
        as opcs4_code
from {{ ref('int_outpatient_appointment') }} as appointment
{{ of_records('appointment', 'sus_op', 'procedure', 'appointment_id') }}
where procedure.procedure_opcs4_code is not null
qualify row_number() over (
    partition by appointment.person_id, appointment.appointment_number, procedure.procedure_number
    order by procedure.row_number
) = 1
