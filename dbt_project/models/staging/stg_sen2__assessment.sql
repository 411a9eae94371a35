-- One row per assessment in a return, with the request it follows.
select
    request.person_id,
    request.local_authority,
    request.request_received_date,
    assessment.* exclude (delivery_supplier)
from {{ accepted('sen2', 'assessment') }} as assessment
inner join {{ ref('stg_sen2__request') }} as request using (delivery_id, request_id)
