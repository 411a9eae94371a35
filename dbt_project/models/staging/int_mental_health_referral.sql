-- Referrals of children, numbered within the child, with exact dates. One without a usable date of
-- referral is left out.
select
    referral.*,
    child.birth_month,
    child.death_month,
    cast(row_number() over (
        partition by referral.person_id
        order by referral.referral_date, referral.service_request_id
    ) as integer) as referral_number
from {{ ref('stg_mhsds__referral') }} as referral
inner join {{ ref('child') }} as child using (person_id)
where {{ plausible_date('referral.referral_date') }} is not null
