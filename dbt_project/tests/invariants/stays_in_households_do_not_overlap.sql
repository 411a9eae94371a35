-- A child's stay in a home ends before, or in the month in which, the next one starts.
select 1
from (
    select
        to_month,
        lead(from_month) over (partition by person_id order by stay_number) as next_month
    from {{ ref('household') }}
)
where next_month is not null and (to_month is null or to_month > next_month)
