-- One row per person, local authority, referral and assessment start: the newest return is kept.
select
    assessment.person_id,
    assessment.delivery_supplier as local_authority,
    link.referral_date,
    {{ plausible_date('assessment.assessment_start_date') }} as assessment_start_date,
    {{ plausible_date('assessment.internal_review_date') }} as internal_review_date,
    {{ plausible_date('assessment.authorisation_date') }} as authorisation_date,
    assessment.delivery_id,
    assessment.record_key,
    assessment.assessment_id,
    assessment.delivery_year as last_return_year
from {{ accepted_person('cin_census', 'assessments') }} as assessment
left join {{ ref('stg_cin_census__referral_link') }} as link
    using (delivery_id, record_key, cin_details_id)
where {{ plausible_date('assessment.assessment_start_date') }} is not null
qualify row_number() over (
    partition by
        assessment.person_id,
        assessment.delivery_supplier,
        {{ plausible_date('assessment.assessment_start_date') }}
    order by
        assessment.delivery_year desc,
        assessment.delivery_id desc,
        assessment.row_number desc
) = 1
