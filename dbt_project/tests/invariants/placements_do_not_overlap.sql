-- Within one authority a placement ends before, or on the day, the next one starts.
select 1
from (
    select
        placement_end_date,
        lead(placement_start_date) over (
            partition by person_id, local_authority order by placement_number
        ) as next_start_date
    from {{ ref('looked_after_placement') }}
)
where next_start_date is not null
    and (placement_end_date is null or placement_end_date > next_start_date)
