-- Measurements as schools uploaded them, each child and day once, from the newest delivery.
select *
from {{ accepted_person('ncmp', 'upload') }}
qualify row_number() over (
    partition by record_key, measurement_date order by {{ newest_return() }}
) = 1
