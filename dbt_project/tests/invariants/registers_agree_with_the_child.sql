-- Born in another month than the child's best-known one, dead before birth, or measured after
-- death. A warning: a wrong date or a wrong link shows here, and hides no data.
{{ config(severity='warn') }}

select 1
from {{ ref('birth') }} as birth
inner join {{ ref('child') }} as child using (person_id)
where abs(date_diff('month', birth.birth_month, child.birth_month)) > 1

union all
select 1
from {{ ref('death') }} as death
inner join {{ ref('child') }} as child using (person_id)
where death.death_month < child.birth_month

union all
select 1
from {{ ref('growth') }} as growth
inner join {{ ref('child') }} as child using (person_id)
where date_trunc('month', growth.measurement_date) > child.death_month + interval 1 month
