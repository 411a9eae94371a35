-- Cases of child death overview panels, one row per child, from the newest snapshot with the case.
select *
from {{ accepted_person('child_death_review', 'child_death') }}
qualify row_number() over (
    partition by person_id
    order by review_completed_date is not null desc, {{ newest_return() }}
) = 1
