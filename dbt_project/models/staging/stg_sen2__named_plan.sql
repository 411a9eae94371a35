-- One row per plan issued or ended in a return, with the request it goes back to.
select
    assessment.person_id,
    assessment.local_authority,
    assessment.request_received_date,
    named_plan.* exclude (delivery_supplier)
from {{ accepted('sen2', 'named_plan') }} as named_plan
inner join {{ ref('stg_sen2__assessment') }} as assessment using (delivery_id, assessment_id)
