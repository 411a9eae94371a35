select
    outcome.person_id,
    cast(outcome.delivery_year as integer) as return_year,
    outcome.delivery_supplier as local_authority,
    cast(outcome.sdq_score as integer) as sdq_score,
    case
        when outcome.sdq_score between 0 and 13 then 'normal'
        when outcome.sdq_score between 14 and 16 then 'borderline'
        when outcome.sdq_score between 17 and 40 then 'cause for concern'
    end as sdq_band,
    outcome.sdq_reason_code,
    outcome.is_immunised,
    outcome.is_teeth_check_done,
    outcome.is_health_assessment_done,
    outcome.is_health_check_done,
    outcome.is_substance_misuse,
    outcome.is_intervention_received,
    outcome.is_intervention_offered,
    outcome.is_convicted
from {{ newest_of_the_year('oc2') }} as outcome
inner join {{ ref('child') }} as child using (person_id)
