select
    episode.person_id,
    episode.admission_number,
    episode.episode_number,
    cast(diagnosis.diagnosis_number as integer) as diagnosis_position,
    diagnosis.diagnosis_number = 1 as is_primary,
    {{ clean_icd10('diagnosis.diagnosis_icd10_code') }} as icd10_code,
    diagnosis.diagnosis_icd10_code as source_icd10_code
from {{ ref('int_hospital_episode') }} as episode
inner join {{ accepted('sus_apc', 'diagnosis') }} as diagnosis
    on diagnosis.delivery_id = episode.delivery_id
    and diagnosis.spell_id = episode.spell_id
    and diagnosis.episode_id = episode.episode_id
where diagnosis.diagnosis_icd10_code is not null
qualify row_number() over (
    partition by
        episode.person_id, episode.admission_number, episode.episode_number,
        diagnosis.diagnosis_number
    order by diagnosis.row_number
) = 1
