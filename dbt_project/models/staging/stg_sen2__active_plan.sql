-- One row per plan in force on the census day of a return, with the request it goes back to.
select
    request.person_id,
    request.local_authority,
    request.request_received_date,
    active_plan.* exclude (delivery_supplier)
from {{ accepted('sen2', 'active_plans') }} as active_plan
inner join {{ ref('stg_sen2__request') }} as request using (delivery_id, request_id)
