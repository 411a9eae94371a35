-- People who are in no curated table: flagged sensitive on the NHS spine in the newest snapshot
-- that holds their record. Withheld-identity hospital records are left out in staging.
select distinct person_id
from {{ ref('stg_pds__person') }}
where sensitivity_code is not null
