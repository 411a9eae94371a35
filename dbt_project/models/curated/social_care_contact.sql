-- Extracts do not say which referral a contact led to, so the referral is the first one within 14
-- days, by exact dates.
with contact as (
    select
        staged.*,
        child.birth_month,
        child.death_month,
        cast(row_number() over (
            partition by staged.person_id
            order by staged.contact_date, staged.local_authority, staged.contact_id
        ) as integer) as contact_number
    from {{ ref('stg_ssd__contact') }} as staged
    inner join {{ ref('child') }} as child using (person_id)
    where {{ not_before_birth('staged.contact_date', 'child.birth_month', 217) }}
),

referred as (
    select
        contact.person_id,
        contact.contact_number,
        min(referral.referral_number) as referral_number
    from contact
    inner join {{ ref('int_cin_referral') }} as referral
        on referral.person_id = contact.person_id
        and referral.local_authority = contact.local_authority
        and referral.referral_date between contact.contact_date
        and contact.contact_date + interval 14 day
    group by contact.person_id, contact.contact_number
)

select
    contact.person_id,
    contact.contact_number,
    contact.local_authority,
    cast({{ coarsen_event_date('contact.contact_date', 'contact.birth_month') }} as date)
        as contact_date,
    contact.contact_source_code,
    referred.referral_number
from contact
left join referred using (person_id, contact_number)
