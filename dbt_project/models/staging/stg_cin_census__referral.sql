-- One row per person, local authority and referral date: a referral open at the end of a year is
-- returned again the year after, and the newest return is kept. `cin_details_id` numbers referrals
-- in document order and means nothing outside its delivery.
select
    person_id,
    delivery_supplier as local_authority,
    {{ plausible_date('referral_date') }} as referral_date,
    case
        when {{ plausible_date('closure_date') }} < referral_date then referral_date
        else {{ plausible_date('closure_date') }}
    end as closure_date,
    referral_source_code,
    primary_need_code,
    closure_reason_code,
    {{ plausible_date('initial_conference_date') }} as initial_conference_date,
    coalesce(is_no_further_action, false) as is_no_further_action,
    delivery_year as last_return_year
from {{ accepted_person('cin_census', 'cin_details') }}
where {{ plausible_date('referral_date') }} is not null
qualify row_number() over (
    partition by person_id, delivery_supplier, referral_date
    order by {{ newest_return() }}
) = 1
