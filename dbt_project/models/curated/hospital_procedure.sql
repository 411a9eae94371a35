select
    episode.person_id,
    episode.admission_number,
    episode.episode_number,
    cast(procedure.procedure_number as integer) as procedure_position,
    nullif(regexp_replace(upper(procedure.procedure_opcs4_code), '[^A-Z0-9]', '', 'g'), '')
        as opcs4_code
from {{ ref('int_hospital_episode') }} as episode
inner join {{ accepted('sus_apc', 'procedure') }} as procedure
    on procedure.delivery_id = episode.delivery_id
    and procedure.spell_id = episode.spell_id
    and procedure.episode_id = episode.episode_id
where procedure.procedure_opcs4_code is not null
qualify row_number() over (
    partition by
        episode.person_id, episode.admission_number, episode.episode_number,
        procedure.procedure_number
    order by procedure.row_number
) = 1
