with attended as (
    select person_id, referral_number, contact_date, is_access_contact
    from {{ ref('int_mental_health_contact') }}
    where is_attended and referral_number is not null
),

access as (
    select person_id, referral_number, contact_date
    from attended
    where is_access_contact
    qualify row_number() over (
        partition by person_id, referral_number order by contact_date
    ) = 2
),

seen as (
    select
        person_id,
        referral_number,
        count(*) as attended_contact_count,
        min(contact_date) as first_contact_date
    from attended
    group by person_id, referral_number
),

dated as (
    select
        referral.*,
        case when referral.discharge_date >= referral.referral_date then referral.discharge_date end
            as valid_discharge_date,
        case when referral.rejection_date >= referral.referral_date then referral.rejection_date end
            as valid_rejection_date
    from {{ ref('int_mental_health_referral') }} as referral
)

select
    dated.person_id,
    dated.referral_number,
    dated.provider_code,
    cast({{ coarsen_event_date('dated.referral_date', 'dated.birth_month') }} as date)
        as referral_date,
    case
        when dated.referral_date >= dated.birth_month
            then {{ completed_years('dated.birth_month', 'dated.referral_date') }}
    end as referral_age_years,
    dated.referral_source_code,
    dated.priority_code,
    dated.referral_reason_code,
    dated.service_team_type_code,
    dated.rejection_date is not null as is_rejected,
    cast({{ coarsen_event_date('dated.valid_rejection_date', 'dated.birth_month') }} as date)
        as rejection_date,
    cast({{ coarsen_event_date('dated.valid_discharge_date', 'dated.birth_month') }} as date)
        as discharge_date,
    cast(date_trunc('month', coalesce(dated.period_start_date, dated.delivery_month)) as date)
        as last_reported_month,
    cast(coalesce(seen.attended_contact_count, 0) as integer) as attended_contact_count,
    cast({{ coarsen_event_date('seen.first_contact_date', 'dated.birth_month') }} as date)
        as first_contact_date,
    case
        when seen.first_contact_date >= dated.referral_date
            -- a wait from or to a date that shows only its month would show its day
            and not {{ in_vital_month('dated.referral_date', 'dated.birth_month') }}
            and not {{ in_vital_month('seen.first_contact_date', 'dated.birth_month') }}
            then cast(date_diff('day', dated.referral_date, seen.first_contact_date) as integer)
    end as wait_days,
    access.contact_date is not null as is_access_under_18,
    cast({{ coarsen_event_date('access.contact_date', 'dated.birth_month') }} as date)
        as access_date
from dated
left join seen using (person_id, referral_number)
left join access using (person_id, referral_number)
