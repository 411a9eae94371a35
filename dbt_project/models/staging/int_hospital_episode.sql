-- Episodes of the admissions kept, from the same delivery as the spell, in order.
select
    admission.person_id,
    admission.admission_number,
    admission.is_date_coarsened,
    admission.delivery_id,
    admission.spell_id,
    episode.episode_id,
    episode.episode_start_date,
    case
        when episode.episode_end_date >= episode.episode_start_date then episode.episode_end_date
    end as episode_end_date,
    episode.main_specialty_code,
    episode.treatment_function_code,
    episode.neonatal_level_of_care_code,
    cast(row_number() over (
        partition by admission.person_id, admission.admission_number
        order by episode.episode_number nulls last, episode.episode_start_date, episode.episode_id
    ) as integer) as episode_number
from {{ ref('int_hospital_admission') }} as admission
inner join {{ accepted('sus_apc', 'episode') }} as episode
    on episode.delivery_id = admission.delivery_id
    and episode.spell_id = admission.spell_id
