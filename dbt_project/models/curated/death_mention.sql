-- Conditions of the certificate, as many rows as there are mentions.
{% set places = range(1, 16) -%}
with mention as (
    unpivot (
        select
            person_id
            {%- for place in places %},
            {{ clean_icd10('mention_' ~ place ~ '_icd10_code') }} as "{{ place }}"
            {%- endfor %}
        from {{ ref('stg_deaths_registration__death') }}
    )
    on {% for place in places %}"{{ place }}"{{ ', ' if not loop.last }}{% endfor %}
    into name mention_number value icd10_code
)

select
    mention.person_id,
    cast(mention.mention_number as integer) as mention_number,
    mention.icd10_code
from mention
inner join {{ ref('child') }} using (person_id)
