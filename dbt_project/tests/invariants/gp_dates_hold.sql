-- No exact date in the month of birth, and nothing before it.
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
    or (date_trunc('month', event.event_date) = child.birth_month and day(event.event_date) <> 1)
