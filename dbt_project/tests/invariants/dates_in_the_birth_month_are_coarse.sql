-- No exact date in a child's month of birth, and no exact date of a birth admission.
with event as (
    {% for table, date in [
        ('cin_referral', 'referral_date'),
        ('cin_referral', 'closure_date'),
        ('cin_referral', 'initial_conference_date'),
        ('cin_assessment', 'assessment_start_date'),
        ('cin_assessment', 'internal_review_date'),
        ('cin_assessment', 'authorisation_date'),
        ('cin_plan', 'plan_start_date'),
        ('cin_plan', 'plan_end_date'),
        ('section_47', 'section_47_start_date'),
        ('section_47', 'initial_conference_target_date'),
        ('section_47', 'initial_conference_date'),
        ('child_protection_plan', 'plan_start_date'),
        ('child_protection_plan', 'plan_end_date'),
        ('looked_after_episode', 'episode_start_date'),
        ('looked_after_episode', 'episode_end_date'),
        ('looked_after_episode', 'delivered_end_date'),
        ('looked_after_episode_removed', 'delivered_start_date'),
        ('looked_after_episode_removed', 'delivered_end_date'),
        ('looked_after_period_of_care', 'period_start_date'),
        ('looked_after_period_of_care', 'period_end_date'),
        ('hospital_admission', 'admission_date'),
        ('hospital_admission', 'discharge_date'),
        ('hospital_episode', 'episode_start_date'),
        ('hospital_episode', 'episode_end_date'),
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
from {{ ref('hospital_admission') }}
where is_birth and (day(admission_date) <> 1 or day(discharge_date) <> 1)
