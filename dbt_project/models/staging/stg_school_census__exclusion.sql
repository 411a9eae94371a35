-- One row per child, school, start and category: exclusions are returned with a delay and may come
-- in more than one return, of which the newest is kept. Fixed-period (FIXD) became suspension.
with exclusion as (
    select
        pupil.person_id, pupil.school_id, pupil.local_authority,
        exclusion.exclusion_start_date, exclusion.exclusion_category_code,
        exclusion.excluded_session_count, exclusion.exclusion_reason_1_code,
        exclusion.exclusion_reason_2_code, exclusion.exclusion_reason_3_code,
        exclusion.sen_provision_code,
        exclusion.delivery_year, exclusion.delivery_month, exclusion.delivery_id,
        exclusion.row_number
    from {{ accepted('school_census', 'termly_exclusions_on_roll') }} as exclusion
    inner join {{ ref('stg_school_census__pupil') }} as pupil
        on pupil.delivery_id = exclusion.delivery_id
        and pupil.pupil_id = exclusion.pupil_on_roll_id
        and pupil.is_on_roll
        and not pupil.is_key_ambiguous
    union all by name
    select
        pupil.person_id, pupil.school_id, pupil.local_authority,
        exclusion.exclusion_start_date, exclusion.exclusion_category_code,
        exclusion.excluded_session_count, exclusion.exclusion_reason_1_code,
        exclusion.exclusion_reason_2_code, exclusion.exclusion_reason_3_code,
        exclusion.sen_provision_code,
        exclusion.delivery_year, exclusion.delivery_month, exclusion.delivery_id,
        exclusion.row_number
    from {{ accepted('school_census', 'termly_exclusions_off_roll') }} as exclusion
    inner join {{ ref('stg_school_census__pupil') }} as pupil
        on pupil.delivery_id = exclusion.delivery_id
        and pupil.pupil_id = exclusion.pupil_no_longer_on_roll_id
        and not pupil.is_on_roll
        and not pupil.is_key_ambiguous
)

select
    * exclude (delivery_month, row_number, exclusion_category_code),
    case exclusion_category_code when 'FIXD' then 'SUSP' else exclusion_category_code end
        as exclusion_category_code
from exclusion
where {{ plausible_date('exclusion_start_date') }} is not null
qualify row_number() over (
    partition by
        person_id,
        school_id,
        exclusion_start_date,
        case exclusion_category_code when 'FIXD' then 'SUSP' else exclusion_category_code end
    order by {{ newest_return() }}
) = 1
