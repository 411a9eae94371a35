-- A child has one regular practice at a time.
select 1
from (
    select
        registration_end_date,
        lead(registration_start_date) over (
            partition by person_id order by registration_start_date, registration_number
        ) as next_start_date
    from {{ ref('gp_registration') }}
    where registration_type = 'regular'
)
where next_start_date is not null
    and (registration_end_date is null or registration_end_date > next_start_date)
