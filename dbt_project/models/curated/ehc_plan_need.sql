-- Needs as the newest return of the plan gives them.
with need as (
    select
        plan.person_id, plan.local_authority, plan.request_received_date, plan.delivery_year,
        need.sen_type_rank, need.sen_type_code, need.row_number
    from {{ accepted('sen2', 'sen_need') }} as need
    inner join {{ ref('stg_sen2__active_plan') }} as plan using (delivery_id, active_plan_id)
    where need.sen_type_code is not null
    qualify dense_rank() over (
        partition by plan.person_id, plan.local_authority, plan.request_received_date
        order by plan.delivery_year desc, plan.delivery_id desc, plan.row_number desc
    ) = 1
)

select
    person_id,
    local_authority,
    request_received_date,
    -- ranks may be missing or repeated: what counts is their order
    cast(row_number() over (
        partition by person_id, local_authority, request_received_date
        order by sen_type_rank nulls last, row_number
    ) as integer) as need_rank,
    sen_type_code
from need
where person_id in (select person_id from {{ ref('child') }})
