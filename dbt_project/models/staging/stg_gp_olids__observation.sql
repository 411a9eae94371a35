-- One row per coded entry of a patient who counts, as a practice holds it: copies of one entry at
-- several practices are all here. Units have one spelling, metres are centimetres.
select
    person_id,
    snapshot_date,
    effective_date,
    snomed_code,
    case when result_unit_code in ('m', 'metres') then result_value * 100 else result_value end
        as result_value,
    case
        when result_unit_code in ('kg', 'Kg', 'kilograms') then 'kg'
        when result_unit_code in ('cm', 'm', 'metres') then 'cm'
        when result_unit_code in ('mmHg', 'mm[Hg]') then 'mmHg'
        else result_unit_code
    end as result_unit,
    coalesce(is_problem, false) and not coalesce(is_problem_deleted, false) as is_problem,
    practice_code
from {{ gp_entries('observation') }}
where
    snomed_code is not null
    and effective_date is not null
    and snomed_code not in ({{ type_1_codes() }})
