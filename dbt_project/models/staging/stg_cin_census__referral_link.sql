-- From a referral's number inside one delivery to its own key: local authority, person and date.
select
    delivery_id,
    record_key,
    cin_details_id,
    person_id,
    {{ plausible_date('referral_date') }} as referral_date
from {{ accepted_person('cin_census', 'cin_details') }}
qualify count(*) over (partition by delivery_id, record_key, cin_details_id) = 1
