-- One row per request in a return. The export makes its keys afresh, so from return to return a
-- request is known by the child, the authority and the date it was received: in the months of birth
-- and death the first of the month, here already, so that everything it leads to goes by the same.
select
    person.person_id,
    person.local_authority,
    request.* exclude (delivery_supplier, request_received_date),
    cast({{ coarsen_event_date('request.request_received_date', 'child.birth_month') }} as date)
        as request_received_date
from {{ accepted('sen2', 'requests') }} as request
inner join {{ ref('stg_sen2__person') }} as person using (delivery_id, sen2_person_id)
left join {{ ref('child') }} as child on child.person_id = person.person_id
where {{ plausible_date('request.request_received_date') }} is not null
