select
    feed,
    supplier as local_authority,
    school_id,
    phase,
    type_group,
    type_group = 'Special schools' as is_special_school,
    cast(lowest_age as integer) as lowest_age,
    cast(highest_age as integer) as highest_age
from {{ source('reference', 'establishment') }}
