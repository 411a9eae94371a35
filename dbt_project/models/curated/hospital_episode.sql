select
    person_id,
    admission_number,
    episode_number,
    cast(case
        when is_date_coarsened then date_trunc('month', episode_start_date)
        else episode_start_date
    end as date) as episode_start_date,
    cast(case
        when is_date_coarsened then date_trunc('month', episode_end_date)
        else episode_end_date
    end as date) as episode_end_date,
    main_specialty_code,
    treatment_function_code,
    neonatal_level_of_care_code
from {{ ref('int_hospital_episode') }}
