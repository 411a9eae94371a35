select
    leaver.person_id,
    cast(leaver.delivery_year as integer) as return_year,
    leaver.delivery_supplier as local_authority,
    {{ completed_years('child.birth_month', 'make_date(leaver.delivery_year, 3, 31)') }}
        as age_at_year_end,
    leaver.in_touch_code,
    -- who died, went home, refused or needed nothing more is neither in touch nor out of touch
    case leaver.in_touch_code when 'YES' then true when 'NO' then false end as is_in_touch,
    nullif(leaver.activity_code, '0') as activity_code,
    case
        when left(leaver.activity_code, 1) in ('F', 'P') then true
        when left(leaver.activity_code, 1) = 'G' then false
    end as is_in_education_employment_or_training,
    nullif(leaver.accommodation_code, '0') as accommodation_code,
    case right(nullif(leaver.accommodation_code, '0'), 1)
        when '1' then true
        when '2' then false
    end as is_accommodation_suitable
from {{ newest_of_the_year('oc3') }} as leaver
inner join {{ ref('child') }} as child using (person_id)
