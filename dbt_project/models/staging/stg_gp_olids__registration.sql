-- One row per registration of a patient who counts; repeats of one are one, the open end first.
select
    person_id,
    practice_code,
    registration_type_code,
    registration_start_date,
    registration_end_date
from {{ gp_entries('episode_of_care', 'false') }}
where registration_start_date is not null
qualify row_number() over (
    partition by person_id, practice_code, registration_start_date
    order by registration_end_date desc nulls first, registration_type_code, row_number desc
) = 1
