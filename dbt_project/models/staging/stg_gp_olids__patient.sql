-- Patient records that count: no sensitive, confidential, deleted or test patient, and nobody whose
-- latest Type 1 code in any record is a dissent (undated: in force). A table, because every other
-- model of the feed reads it.
{{ config(materialized='table') }}

with observation as (
    select person_id, record_key, snomed_code, effective_date
    from {{ newest_snapshot('observation') }}
    where not coalesce(is_deleted, false)
),

dissent as (
    select person_id
    from observation
    where snomed_code in ({{ type_1_codes() }})
    group by person_id
    having coalesce(
        max(coalesce(effective_date, date '9999-12-31')) filter (snomed_code = {{ dissent_code() }})
        >= coalesce(
            max(effective_date) filter (snomed_code <> {{ dissent_code() }}), date '0001-01-01'
        ),
        false
    )
),

-- the record holds ethnicity as entries: the latest one
ethnicity as (
    select
        observation.record_key,
        max_by(
            observation.snomed_code,
            (coalesce(observation.effective_date, date '0001-01-01'), observation.snomed_code)
        ) as ethnicity_code
    from observation
    inner join {{ ref('ethnicity') }} as known
        on known.feed = 'gp_olids' and known.source_code = observation.snomed_code
    group by observation.record_key
)

select
    patient.person_id,
    patient.link_tier,
    patient.record_key,
    patient.delivery_year,
    patient.delivery_month,
    delivery.snapshot_date,
    patient.sex_code,
    case
        when patient.birth_year >= 1930 and patient.birth_month_number between 1 and 12
            then make_date(patient.birth_year, patient.birth_month_number, 1)
    end as birth_month,
    case
        when patient.death_year >= 1930 and patient.death_month_number between 1 and 12
            then make_date(patient.death_year, patient.death_month_number, 1)
    end as death_month,
    patient.practice_code,
    ethnicity.ethnicity_code
from {{ newest_snapshot('patient') }} as patient
inner join {{ ref('stg_gp_olids__delivery') }} as delivery using (delivery_id)
left join ethnicity using (record_key)
where
    not coalesce(patient.is_spine_sensitive, false)
    and not coalesce(patient.is_confidential, false)
    and not coalesce(patient.is_dummy_patient, false)
    and not coalesce(patient.is_deleted, false)
    and patient.person_id not in (select person_id from dissent)
qualify row_number() over (
    partition by patient.record_key order by patient.acquired_at desc nulls last, patient.row_number desc
) = 1
