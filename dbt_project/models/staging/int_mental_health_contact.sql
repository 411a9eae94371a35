-- Contacts of children, numbered within the child, with exact dates, the number of the referral,
-- and whether the contact counts towards access. One without a usable date is left out.
with contact as (
    select
        contact.*,
        child.birth_month,
        child.death_month,
        coalesce(contact.attendance_code in ('5', '6'), false) as is_attended,
        coalesce(mechanism.is_in_writing, false) as is_in_writing,
        case
            when contact.contact_date >= child.birth_month
                then {{ completed_years('child.birth_month', 'contact.contact_date') }}
        end as contact_age_years
    from {{ ref('stg_mhsds__contact') }} as contact
    inner join {{ ref('child') }} as child using (person_id)
    left join {{ ref('consultation_mechanism') }} as mechanism
        using (consultation_mechanism_code)
    where {{ plausible_date('contact.contact_date') }} is not null
)

select
    contact.*,
    referral.referral_number,
    cast(row_number() over (
        partition by contact.person_id
        order by contact.contact_date, contact.service_request_id, contact.care_contact_id
    ) as integer) as contact_number,
    contact.is_attended
    and not contact.is_in_writing
    and coalesce(contact.contact_age_years < 18, false) as is_access_contact
from contact
left join {{ ref('int_mental_health_referral') }} as referral
    using (person_id, delivery_supplier, service_request_id)
