-- No exact date in a child's month of birth in the tables of contacts, early help and care.
with event as (
    {% for table, date in [
        ('social_care_contact', 'contact_date'),
        ('early_help_episode', 'early_help_start_date'),
        ('early_help_episode', 'early_help_end_date'),
        ('looked_after_placement', 'placement_start_date'),
        ('looked_after_placement', 'placement_end_date'),
        ('missing_episode', 'missing_start_date'),
        ('missing_episode', 'missing_end_date'),
    ] %}
    select person_id, {{ date }} as event_date from {{ ref(table) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select 1
from event
inner join {{ ref('child') }} as child using (person_id)
where date_trunc('month', event.event_date) = child.birth_month and day(event.event_date) <> 1
