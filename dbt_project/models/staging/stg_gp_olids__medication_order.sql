-- One row per prescription issued to a patient who counts and not withheld as sensitive: what has
-- neither a class nor a medicine says nothing.
select
    person_id,
    snapshot_date,
    effective_date,
    bnf_code,
    medicine_code,
    quantity_value,
    cast(duration_days as integer) as duration_days,
    practice_code
from {{ gp_entries('medication_order') }}
where effective_date is not null and coalesce(bnf_code, medicine_code) is not null
