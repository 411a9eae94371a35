-- Conditions of the certificate, as many rows as there are mentions.
with mention as (
    select
        person_id,
        unnest(range(1, 16)) as mention_number,
        unnest([
            {%- for place in range(1, 16) %}
            {{ clean_icd10('mention_' ~ place ~ '_icd10_code') }}{{ ',' if not loop.last }}
            {%- endfor %}
        ]) as icd10_code
    from {{ ref('stg_deaths_registration__death') }}
)

select
    mention.person_id,
    cast(mention.mention_number as integer) as mention_number,
    mention.icd10_code
from mention
inner join {{ ref('child') }} using (person_id)
where mention.icd10_code is not null
