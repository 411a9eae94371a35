-- Missing episodes: one that goes on over the year end is returned again, and the newest return of
-- a start is kept.
select
    person_id,
    delivery_supplier as local_authority,
    {{ plausible_date('missing_start_date') }} as missing_start_date,
    case when missing_end_date >= missing_start_date then missing_end_date end as missing_end_date,
    missing_type_code,
    delivery_year as last_return_year
from {{ accepted_person('ssda903', 'missing') }}
where {{ plausible_date('missing_start_date') }} is not null
qualify row_number() over (
    partition by person_id, delivery_supplier, missing_start_date
    order by {{ newest_return() }}
) = 1
