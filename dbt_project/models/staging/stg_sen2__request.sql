-- One row per request in a return. The export makes its keys afresh, so from return to return a
-- request is known by the child, the authority and the date it was received.
select
    person.person_id,
    person.local_authority,
    request.* exclude (delivery_supplier, request_received_date),
    {{ plausible_date('request.request_received_date') }} as request_received_date
from {{ accepted('sen2', 'requests') }} as request
inner join {{ ref('stg_sen2__person') }} as person using (delivery_id, sen2_person_id)
where {{ plausible_date('request.request_received_date') }} is not null
