-- Maternity records, one row per baby of the bridge.
select
    person_id,
    link_tier,
    delivery_year,
    delivery_month,
    sex_code,
    case
        when birth_month_number between 1 and 12 then make_date(birth_year, birth_month_number, 1)
    end as birth_month,
    gestation_days,
    birth_weight_grams,
    mother_age_years,
    apgar_score_5,
    delivery_method,
    first_feed_breast_milk_status,
    -- a list: the last value is the latest
    split_part(mother_smoking_at_delivery, '|', -1) as mother_smoking_at_delivery
from {{ accepted_person('msds', 'maternity_record') }}
qualify row_number() over (partition by record_key order by {{ newest_return() }}) = 1
