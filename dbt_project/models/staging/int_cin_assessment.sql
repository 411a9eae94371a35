-- Assessments numbered within the child, with exact dates and the referral they belong to.
select
    assessment.*,
    child.birth_month,
    child.death_month,
    referral.referral_number,
    cast(row_number() over (
        partition by assessment.person_id
        order by assessment.assessment_start_date, assessment.local_authority
    ) as integer) as assessment_number
from {{ ref('stg_cin_census__assessment') }} as assessment
inner join {{ ref('child') }} as child using (person_id)
left join {{ ref('int_cin_referral') }} as referral
    using (person_id, local_authority, referral_date)
where {{ not_before_birth('assessment.assessment_start_date', 'child.birth_month', 217) }}
