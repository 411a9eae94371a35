-- Community contacts of children, numbered within the child, with exact dates. One without a usable
-- date, or more than 217 days before birth, is left out.
select
    contact.*,
    child.birth_month,
    child.death_month,
    contact.contact_date < child.birth_month as is_before_birth,
    -- a new birth visit follows the birth by ten to fourteen days
    coalesce(contact.review_activity_code = '09', false)
    or {{ in_vital_month('contact.contact_date', 'child.birth_month') }}
        as is_date_coarsened,
    cast(row_number() over (
        partition by contact.person_id
        order by contact.contact_date, contact.service_request_id, contact.care_contact_id
    ) as integer) as contact_number
from {{ ref('stg_csds__contact') }} as contact
inner join {{ ref('child') }} as child using (person_id)
where
    {{ plausible_date('contact.contact_date') }} is not null
    and {{ not_before_birth('contact.contact_date', 'child.birth_month', 217) }}
