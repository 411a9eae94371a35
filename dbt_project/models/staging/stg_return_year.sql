-- The years for which a local authority's annual return was accepted, the newest of them, and the one
-- after each.
select
    feed,
    supplier as local_authority,
    collection_year,
    make_date(collection_year, 3, 31) as year_end,
    max(collection_year) over (partition by feed, supplier) as newest_year,
    lead(collection_year) over (
        partition by feed, supplier order by collection_year
    ) as following_year
from {{ ref('stg_delivery') }}
where feed in ('cin_census', 'ssda903')
group by feed, supplier, collection_year
