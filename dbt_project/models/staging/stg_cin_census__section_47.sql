-- One row per person, local authority and enquiry start: the newest return is kept.
select
    enquiry.person_id,
    enquiry.delivery_supplier as local_authority,
    link.referral_date,
    {{ plausible_date('enquiry.section_47_start_date') }} as section_47_start_date,
    {{ plausible_date('enquiry.initial_conference_target_date') }}
        as initial_conference_target_date,
    {{ plausible_date('enquiry.initial_conference_date') }} as initial_conference_date,
    enquiry.is_initial_conference_not_required,
    enquiry.delivery_year as last_return_year
from {{ accepted_person('cin_census', 'section_47') }} as enquiry
left join {{ ref('stg_cin_census__referral_link') }} as link
    using (delivery_id, record_key, cin_details_id)
where {{ plausible_date('enquiry.section_47_start_date') }} is not null
qualify row_number() over (
    partition by
        enquiry.person_id,
        enquiry.delivery_supplier,
        {{ plausible_date('enquiry.section_47_start_date') }}
    order by enquiry.delivery_year desc, enquiry.delivery_id desc, enquiry.row_number desc
) = 1
