-- Episodes as delivered: every row of every accepted return whose child is linked. Repairs follow
-- in int_looked_after_episode_kept and int_looked_after_episode_repaired.
select
    person_id,
    delivery_supplier as local_authority,
    delivery_year as return_year,
    delivery_id,
    row_number,
    episode_start_date,
    episode_end_date,
    episode_end_reason_code,
    {{ episode_codes() | join(',\n    ') }},
    home_lsoa21_code,
    home_lsoa11_code,
    home_la_code
from {{ accepted_person('ssda903', 'episodes') }}
