-- Everything any source says about who a person is: one row per source record and return, with sex
-- and ethnicity harmonised and the source's own codes beside them. `source_rank` is the order in
-- which ties are settled (seed source_feed). Which relations tell it comes from the contracts (macro
-- person_sources). A table, because several models read all of it.
{{ config(materialized='table') }}
with recorded as (
    {%- for feed, relation, seen, told in person_sources() %}
    {{ 'union all by name' if not loop.first }}
    select
        person_id, link_tier, '{{ feed }}' as feed, delivery_year as year,
        cast({{ month_or_delivered(seen) if seen else 'delivery_month' }} as date) as seen_month,
        {{ told | join(', ') }}
    from {{ relation }}
    {%- endfor %}
),

observation as (
    select
        recorded.* rename (
            sex_code as source_sex_code, ethnicity_code as source_ethnicity_code
        ),
        source_feed.source_rank
    from recorded
    inner join {{ ref('source_feed') }} as source_feed using (feed)
)

select harmonised.* from {{ harmonised('observation') }} as harmonised
