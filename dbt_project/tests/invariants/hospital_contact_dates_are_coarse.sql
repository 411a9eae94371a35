-- No exact date in a child's month of birth, and no days after a discharge that shows its month.
with event as (
    {% for table, date in [
        ('outpatient_appointment', 'appointment_date'),
        ('outpatient_appointment', 'referral_received_date'),
        ('emergency_attendance', 'arrival_date'),
        ('avoidable_admission', 'admission_date'),
        ('hospital_critical_care', 'critical_care_start_date'),
        ('hospital_critical_care', 'critical_care_end_date'),
    ] %}
    select person_id, {{ date }} as event_date from {{ ref(table) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select 1
from event
inner join {{ ref('child') }} as child using (person_id)
where date_trunc('month', event.event_date) = child.birth_month and day(event.event_date) <> 1
union all
select 1
from {{ ref('emergency_readmission') }} as readmission
inner join {{ ref('hospital_admission') }} as admission using (person_id, admission_number)
where admission.is_date_coarsened and readmission.days_to_readmission is not null
