select
    person_id,
    contact_number,
    provider_code,
    service_team_type_code,
    cast(
        case when is_date_coarsened then date_trunc('month', contact_date) else contact_date end
        as date
    ) as contact_date,
    is_date_coarsened,
    coalesce(is_before_birth, false) as is_before_birth,
    case
        when contact_date >= birth_month then {{ completed_years('birth_month', 'contact_date') }}
    end as contact_age_years,
    attendance_code,
    coalesce(attendance_code in ('5', '6'), false) as is_attended,
    consultation_mechanism_code,
    location_type_code,
    cast(contact_minutes as integer) as contact_minutes,
    case review_activity_code
        when '08' then 'antenatal'
        when '09' then 'new birth'
        when '10' then '6 to 8 weeks'
        when '11' then '1 year'
        when '12' then '2 to 2.5 years'
    end as mandated_review
from {{ ref('int_community_contact') }}
