{#- Every date of every table of children, read from the models themselves: in the months of the
    child's birth and death it is the first of the month, unless its column says why it may be exact
    (`config: {meta: {exact: <reason>}}`). dbt has to be told which tables come before this test, so
    they are named; one that is forgotten stops the project from compiling. -#}
{%- set tables = [
    'address_history',
    'attendance_month',
    'attendance_session',
    'avoidable_admission',
    'birth',
    'child',
    'child_death',
    'child_death_review',
    'child_protection_plan',
    'child_source',
    'cin_assessment',
    'cin_plan',
    'cin_referral',
    'community_contact',
    'death',
    'early_help_episode',
    'ehc_plan',
    'ehc_plan_need',
    'ehc_request',
    'emergency_attendance',
    'exclusion',
    'gp_appointment',
    'gp_encounter',
    'gp_event',
    'gp_referral',
    'gp_registration',
    'growth',
    'hospital_admission',
    'hospital_continuous_stay',
    'hospital_critical_care',
    'hospital_episode',
    'household',
    'immunisation',
    'looked_after_episode',
    'looked_after_episode_removed',
    'looked_after_hospital_admission',
    'looked_after_period_of_care',
    'looked_after_placement',
    'mental_health_contact',
    'mental_health_referral',
    'missing_episode',
    'need_before_first_referral',
    'obesity',
    'outpatient_appointment',
    'prescription',
    'school_enrolment',
    'section_47',
    'social_care_contact',
] -%}
{%- for table in tables %}{% do ref(table) %}{% endfor %}

with shown as (
    {{ dates_shown(tables) }}
)

select shown.model
from shown
inner join {{ ref('child') }} as child using (person_id)
where
    day(shown.shown_date) <> 1
    and date_trunc('month', shown.shown_date) in (
        date_trunc('month', child.birth_month), date_trunc('month', child.death_month)
    )
