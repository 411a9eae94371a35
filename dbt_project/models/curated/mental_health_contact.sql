select
    person_id,
    contact_number,
    referral_number,
    provider_code,
    cast({{ coarsen_event_date('contact_date', 'birth_month') }} as date) as contact_date,
    contact_age_years,
    attendance_code,
    is_attended,
    consultation_mechanism_code,
    is_in_writing,
    cast(contact_minutes as integer) as contact_minutes,
    is_access_contact
from {{ ref('int_mental_health_contact') }}
