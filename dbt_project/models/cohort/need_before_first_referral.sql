-- What services knew of a child in the 365 days before the first referral that any return tells of.
-- Counts of a source say nothing where the source does not cover the child, so each has its mark.
with first_referral as (
    select
        referral.*,
        child.birth_month,
        referral.referral_date - interval 365 day as since
    from {{ ref('cin_referral') }} as referral
    inner join {{ ref('child') }} as child using (person_id)
    where referral.referral_number = 1 and not referral.is_before_birth
),

extracted as (
    select distinct supplier as local_authority from {{ ref('stg_delivery') }} where feed = 'ssd'
),

{% set before = 'event.person_id = first_referral.person_id
        and event.{} >= first_referral.since and event.{} < first_referral.referral_date' -%}
contact as (
    select first_referral.person_id, count(*) as events
    from first_referral
    inner join {{ ref('social_care_contact') }} as event
        on {{ before.format('contact_date', 'contact_date') }}
        -- the contact that became the referral itself does not count
        and event.referral_number is distinct from 1
    group by first_referral.person_id
),

early_help as (
    select first_referral.person_id, count(*) as events
    from first_referral
    inner join {{ ref('early_help_episode') }} as event
        on event.person_id = first_referral.person_id
        and event.early_help_start_date < first_referral.referral_date
        and (
            event.early_help_end_date >= first_referral.since
            or event.is_open
        )
    group by first_referral.person_id
),

attendance as (
    select first_referral.person_id, count(*) as events
    from first_referral
    inner join {{ ref('emergency_attendance') }} as event
        on {{ before.format('arrival_date', 'arrival_date') }} and event.is_unplanned
    group by first_referral.person_id
),

admission as (
    select first_referral.person_id, count(*) as events
    from first_referral
    inner join {{ ref('hospital_admission') }} as event
        on {{ before.format('admission_date', 'admission_date') }} and event.is_unplanned
    group by first_referral.person_id
),

mental_health as (
    select first_referral.person_id, count(*) as events
    from first_referral
    inner join {{ ref('mental_health_referral') }} as event
        on {{ before.format('referral_date', 'referral_date') }}
    group by first_referral.person_id
),

practice as (
    select first_referral.person_id, count(*) as events
    from first_referral
    inner join {{ ref('gp_appointment') }} as event
        on {{ before.format('appointment_date', 'appointment_date') }} and event.is_attended
    group by first_referral.person_id
),

suspension as (
    select first_referral.person_id, count(*) as events
    from first_referral
    inner join {{ ref('exclusion') }} as event
        on {{ before.format('exclusion_start_date', 'exclusion_start_date') }}
    group by first_referral.person_id
),

absence as (
    -- the school year that ended last before the referral
    select
        first_referral.person_id,
        arg_max(event.absence_rate, event.academic_year) as absence_rate,
        arg_max(event.is_persistently_absent, event.academic_year) as is_persistently_absent
    from first_referral
    inner join {{ ref('absence_year') }} as event
        on event.person_id = first_referral.person_id
        and make_date(event.academic_year, 8, 31) < first_referral.referral_date
        and make_date(event.academic_year, 8, 31) >= first_referral.since
    group by first_referral.person_id
)

select
    first_referral.person_id,
    first_referral.local_authority,
    first_referral.referral_date,
    case
        when first_referral.referral_date >= first_referral.birth_month
            then {{ completed_years('first_referral.birth_month', 'first_referral.referral_date') }}
    end as referral_age_years,
    first_referral.referral_source_code,
    first_referral.primary_need_code,
    first_referral.is_no_further_action,
    extracted.local_authority is not null as is_early_help_known,
    case
        when extracted.local_authority is not null
            then cast(coalesce(contact.events, 0) as integer)
    end as contact_count,
    case
        when extracted.local_authority is not null then coalesce(early_help.events, 0) > 0
    end as had_early_help,
    cast(coalesce(attendance.events, 0) as integer) as emergency_attendance_count,
    cast(coalesce(admission.events, 0) as integer) as emergency_admission_count,
    cast(coalesce(mental_health.events, 0) as integer) as mental_health_referral_count,
    cast(coalesce(practice.events, 0) as integer) as gp_appointment_count,
    cast(coalesce(suspension.events, 0) as integer) as suspension_count,
    absence.absence_rate,
    absence.is_persistently_absent
from first_referral
left join extracted using (local_authority)
left join contact using (person_id)
left join early_help using (person_id)
left join attendance using (person_id)
left join admission using (person_id)
left join mental_health using (person_id)
left join practice using (person_id)
left join suspension using (person_id)
left join absence using (person_id)
