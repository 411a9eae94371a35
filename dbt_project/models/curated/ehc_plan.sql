-- A plan is known by its request. It may be in returns as issued or ended (a named plan), as in force
-- on census day (an active plan), or both; a plan from before person-level returns has no start.
with named as (
    select
        person_id,
        local_authority,
        request_received_date,
        min({{ plausible_date('plan_start_date') }}) as plan_start_date,
        arg_max({{ plausible_date('plan_cease_date') }}, (delivery_year, plan_start_date))
            as plan_cease_date,
        arg_max(plan_cease_reason_code, (delivery_year, plan_start_date))
            as plan_cease_reason_code,
        bool_or(is_personal_budget) as is_personal_budget
    from {{ ref('stg_sen2__named_plan') }}
    group by all
),

active as (
    select
        person_id,
        local_authority,
        request_received_date,
        min(delivery_year) as first_active_year,
        max(delivery_year) as last_active_year,
        max({{ plausible_date('last_review_date') }}) as last_review_date
    from {{ ref('stg_sen2__active_plan') }}
    group by all
),

placement as (
    select
        plan.person_id, plan.local_authority, plan.request_received_date,
        placement.school_urn, placement.setting_type_code, placement.entry_date,
        placement.is_sen_unit, placement.is_resourced_provision
    from {{ accepted('sen2', 'placement_detail') }} as placement
    inner join {{ ref('stg_sen2__active_plan') }} as plan using (delivery_id, active_plan_id)
    qualify row_number() over (
        partition by plan.person_id, plan.local_authority, plan.request_received_date
        order by
            plan.delivery_year desc, placement.placement_rank nulls last,
            placement.entry_date desc nulls last, placement.row_number desc
    ) = 1
),

returned as (
    select local_authority, max(delivery_year) as newest_year
    from {{ ref('stg_sen2__person') }}
    group by local_authority
)

select
    person_id,
    local_authority,
    request_received_date,
    cast({{ coarsen_event_date('named.plan_start_date', 'child.birth_month') }} as date)
        as plan_start_date,
    cast({{ coarsen_event_date('named.plan_cease_date', 'child.birth_month') }} as date)
        as plan_cease_date,
    named.plan_cease_reason_code,
    named.is_personal_budget,
    cast(active.first_active_year as integer) as first_active_year,
    cast(active.last_active_year as integer) as last_active_year,
    cast({{ coarsen_event_date('active.last_review_date', 'child.birth_month') }} as date)
        as last_review_date,
    coalesce(active.last_active_year = returned.newest_year, false)
    and (
        named.plan_cease_date is null
        or named.plan_cease_date >= make_date(cast(returned.newest_year as integer), 1, 1)
    ) as is_active,
    placement.school_urn as school_id,
    placement.setting_type_code,
    cast({{ coarsen_event_date('placement.entry_date', 'child.birth_month') }} as date)
        as placement_entry_date,
    placement.is_sen_unit,
    placement.is_resourced_provision
from named
full outer join active using (person_id, local_authority, request_received_date)
left join placement using (person_id, local_authority, request_received_date)
left join returned using (local_authority)
inner join {{ ref('child') }} as child using (person_id)
