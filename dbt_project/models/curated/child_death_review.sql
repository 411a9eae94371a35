select
    review.person_id,
    review.death_month,
    review.is_expected_death,
    case review.known_to_social_care_code when 'Y' then true when 'N' then false end
        as is_known_to_social_care,
    review.is_cin_plan as has_child_in_need_plan,
    review.is_child_protection_plan as has_child_protection_plan,
    review.is_looked_after,
    review.review_completed_date is not null as is_review_complete,
    cast({{ coarsen_event_date('review.review_completed_date', 'child.birth_month') }} as date)
        as review_completed_date,
    -- a category before the review is complete is the notifier's guess
    case when review.review_completed_date is not null then review.primary_category_code end
        as category_code,
    case when review.review_completed_date is not null then review.modifiable_factors_code end
        as modifiable_factors_code
from {{ ref('stg_child_death_review__child_death') }} as review
inner join {{ ref('child') }} as child using (person_id)
