-- One row per accepted delivery, with the month its period stands for.
select
    delivery_id,
    supplier,
    feed,
    period,
    collection_year,
    case
        when period like '____-autumn' then make_date(cast(left(period, 4) as integer), 10, 1)
        when period like '____-spring' then make_date(cast(left(period, 4) as integer), 1, 1)
        when period like '____-summer' then make_date(cast(left(period, 4) as integer), 5, 1)
        when period like '____' then make_date(cast(period as integer), 3, 1)
        else make_date(cast(left(period, 4) as integer), cast(substr(period, 6, 2) as integer), 1)
    end as period_month,
    case split_part(period, '-', 2)
        when 'autumn' then 1
        when 'spring' then 2
        when 'summer' then 3
    end as term_number
from {{ source('pseudonymised', 'delivery') }}
where status = 'accepted'
