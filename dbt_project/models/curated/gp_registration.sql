with bounded as (
    select
        staged.person_id,
        staged.practice_code,
        case staged.registration_type_code
            when 'Regular/GMS' then 'regular'
            when 'Temporary' then 'temporary'
            when 'Private' then 'private'
            when 'Emergency' then 'emergency'
            when 'Immediately Necessary' then 'immediately necessary'
            when 'Other' then 'other'
            else 'not known'
        end as registration_type,
        -- nobody is registered before birth: such a start is a wrong date
        cast(greatest(
            {{ coarsen_event_date('staged.registration_start_date', 'child.birth_month') }},
            child.birth_month
        ) as date) as start_date,
        cast({{ coarsen_event_date('staged.registration_end_date', 'child.birth_month') }}
            as date) as end_date
    from {{ ref('stg_gp_olids__registration') }} as staged
    inner join {{ ref('child') }} as child using (person_id)
),

sequenced as (
    select
        person_id,
        practice_code,
        registration_type,
        start_date,
        case when end_date >= start_date then end_date end as end_date,
        -- one regular registration at a time: the next one ends the one before
        case when registration_type = 'regular' then lead(start_date) over (
            partition by person_id, registration_type order by start_date, practice_code
        ) end as next_start_date
    from bounded
)

select
    person_id,
    cast(row_number() over (
        partition by person_id order by start_date, practice_code, registration_type
    ) as integer) as registration_number,
    practice_code,
    registration_type,
    start_date as registration_start_date,
    -- an unknown end or an unknown next start leaves the other
    cast(least(end_date, next_start_date) as date) as registration_end_date,
    case
        when next_start_date < end_date or (end_date is null and next_start_date is not null)
            then 'next registration'
        when end_date is not null then 'recorded'
    end as end_basis
from sequenced
