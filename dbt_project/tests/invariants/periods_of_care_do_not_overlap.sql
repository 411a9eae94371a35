-- Within one authority a period of care ends before, or on the day, the next one starts.
select 1
from (
    select
        period_end_date,
        lead(period_start_date) over (
            partition by person_id, local_authority order by period_of_care_number
        ) as next_start_date
    from {{ ref('looked_after_period_of_care') }}
)
where next_start_date is not null
    and (period_end_date is null or period_end_date > next_start_date)
