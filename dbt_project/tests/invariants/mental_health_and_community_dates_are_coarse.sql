-- No exact date in a child's month of birth.
with event as (
    {% for table, date in [
        ('mental_health_referral', 'referral_date'),
        ('mental_health_referral', 'rejection_date'),
        ('mental_health_referral', 'discharge_date'),
        ('mental_health_referral', 'first_contact_date'),
        ('mental_health_referral', 'access_date'),
        ('mental_health_contact', 'contact_date'),
        ('community_contact', 'contact_date'),
    ] %}
    select person_id, {{ date }} as event_date from {{ ref(table) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select 1
from event
inner join {{ ref('child') }} as child using (person_id)
where date_trunc('month', event.event_date) = child.birth_month and day(event.event_date) <> 1
