-- Pupils of the registers, as each delivery says them: a register repeats who the pupil is in every
-- session.
select distinct
    person_id, link_tier, delivery_year, delivery_month, sex_code, birth_month, ethnicity_code
from {{ accepted_person('attendance_daily', 'sessions') }}
