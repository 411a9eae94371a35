-- Measurements as the national system returned them, each once, from the newest delivery.
select *
from {{ accepted_person('ncmp', 'enhanced') }}
qualify row_number() over (
    partition by delivery_supplier, ncmp_system_id order by {{ newest_return() }}
) = 1
