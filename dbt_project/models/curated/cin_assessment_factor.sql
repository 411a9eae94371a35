-- Factors of the return from which the assessment was kept.
select distinct
    assessment.person_id,
    assessment.assessment_number,
    factor.factor_code
from {{ ref('int_cin_assessment') }} as assessment
inner join {{ source('pseudonymised', 'cin_census__assessment_factors') }} as factor
    using (delivery_id, record_key, assessment_id)
where factor.factor_code is not null
