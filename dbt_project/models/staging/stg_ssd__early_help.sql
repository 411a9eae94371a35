-- Early help episodes in the newest extract of each authority; one that ends before it starts has
-- no known end.
select
    person_id,
    delivery_supplier as local_authority,
    {{ plausible_date('early_help_start_date') }} as early_help_start_date,
    case
        when early_help_end_date >= early_help_start_date then early_help_end_date
    end as early_help_end_date,
    early_help_end_date is null as is_open,
    early_help_episode_id,
    delivery_month
from {{ newest_extract('early_help_episodes') }}
where {{ plausible_date('early_help_start_date') }} is not null
