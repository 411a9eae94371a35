-- What providers of community care say of each patient, one row per active submission and provider.
select patient.*
from {{ accepted_person('csds', 'patient') }} as patient
inner join {{ active_submission('csds') }} as active using (delivery_supplier, submission_id)
qualify row_number() over (
    partition by delivery_supplier, submission_id, provider_code, record_key
    order by effective_from_at desc, {{ newest_return() }}
) = 1
