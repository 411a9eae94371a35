-- Nothing that a practice writes down is dated before the month of birth.
with event as (
    {% for table, date in [
        ('gp_registration', 'registration_start_date'),
        ('gp_registration', 'registration_end_date'),
        ('gp_event', 'event_date'),
        ('gp_appointment', 'appointment_date'),
        ('gp_encounter', 'encounter_date'),
        ('gp_referral', 'referral_date'),
        ('prescription', 'prescription_date'),
        ('immunisation', 'immunisation_date'),
    ] %}
    select person_id, {{ date }} as event_date from {{ ref(table) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select 1
from event
inner join {{ ref('child') }} as child using (person_id)
where event.event_date < child.birth_month
