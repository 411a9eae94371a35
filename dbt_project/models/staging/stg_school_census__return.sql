-- One row per school's return in a delivery: its census day.
select delivery_id, school_census_id, min(reference_date) as reference_date
from {{ accepted('school_census', 'school_census') }}
group by delivery_id, school_census_id
