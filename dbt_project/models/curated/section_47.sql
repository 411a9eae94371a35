select
    enquiry.person_id,
    cast(row_number() over (
        partition by enquiry.person_id
        order by enquiry.section_47_start_date, enquiry.local_authority
    ) as integer) as section_47_number,
    referral.referral_number,
    enquiry.local_authority,
    cast({{ coarsen_event_date('enquiry.section_47_start_date', 'child.birth_month') }} as date)
        as section_47_start_date,
    -- fifteen working days after a start that shows only its month, it would show its day
    cast(case
        when {{ in_vital_month('enquiry.section_47_start_date', 'child.birth_month') }}
            then date_trunc('month', enquiry.initial_conference_target_date)
        else {{ coarsen_event_date('enquiry.initial_conference_target_date', 'child.birth_month') }}
    end as date) as initial_conference_target_date,
    cast({{ coarsen_event_date('enquiry.initial_conference_date', 'child.birth_month') }}
        as date) as initial_conference_date,
    enquiry.is_initial_conference_not_required,
    cast(enquiry.last_return_year as integer) as last_return_year
from {{ ref('stg_cin_census__section_47') }} as enquiry
inner join {{ ref('child') }} as child using (person_id)
left join {{ ref('int_cin_referral') }} as referral
    using (person_id, local_authority, referral_date)
where {{ not_before_birth('enquiry.section_47_start_date', 'child.birth_month', 217) }}
