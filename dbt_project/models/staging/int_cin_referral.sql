-- Referrals that can be true, numbered within the child, with exact dates (curated dates are
-- coarsened in the month of birth). A referral earlier than 7 x 31 days before birth is left out;
-- one of an unborn child within them is kept (ECHILD csc-cleaning).
select
    referral.*,
    child.birth_month,
    child.death_month,
    cast(row_number() over (
        partition by person_id order by referral.referral_date, referral.local_authority
    ) as integer) as referral_number
from {{ ref('stg_cin_census__referral') }} as referral
inner join {{ ref('child') }} as child using (person_id)
where {{ not_before_birth('referral.referral_date', 'child.birth_month', 217) }}
