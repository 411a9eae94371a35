-- Registered deaths, one row per person: the newest current entry that was not cancelled.
with entry as (
    select *
    from {{ accepted_person('deaths_registration', 'death') }}
    qualify row_number() over (
        partition by delivery_supplier, row_id order by {{ newest_return() }}
    ) = 1
)

select
    entry.* replace (
        coalesce(birth_month, {{ month_as_written('supplier_birth_month') }}) as birth_month
    ),
    coalesce(upper(neonatal_code) not in ('N', '0'), false) as is_neonatal
from entry
where {{ is_in_force('is_latest', 'cancelled_code') }}
qualify row_number() over (partition by person_id order by {{ newest_return() }}) = 1
