-- The newest snapshot of each supplier of general practice records.
select delivery_id, cast(period as date) as snapshot_date
from {{ ref('stg_delivery') }}
where feed = 'gp_olids'
qualify row_number() over (partition by supplier order by period desc, delivery_id desc) = 1
