{#- Rows of one pseudonymised table that count: those of accepted deliveries, with the delivery's
    supplier, period and collection year. Superseded, rejected and withdrawn deliveries, and the
    gate itself, are decided before dbt runs; this is where their rows stop. -#}
{% macro accepted(feed, table) -%}
(
    select
        -- a row's place in the whole delivery, which may hold several files of one table
        contract_row.* replace (
            coalesce(contract_row.source_file, 0) * 1000000000000 + contract_row.row_number
                as row_number
        ),
        delivery.supplier as delivery_supplier,
        delivery.collection_year as delivery_year,
        delivery.period_month as delivery_month,
        delivery.term_number as delivery_term
    from {{ source('pseudonymised', feed ~ '__' ~ table) }} as contract_row
    inner join {{ ref('stg_delivery') }} as delivery using (delivery_id)
    where delivery.feed = '{{ feed }}'
)
{%- endmacro %}

{#- The same, with the linked person of each row. A row whose record has no person yet (it came
    after the last linkage run) is left out until linkage has seen it. -#}
{% macro accepted_person(feed, table) -%}
(
    select accepted_row.*, bridge.person_id, bridge.tier as link_tier
    from {{ accepted(feed, table) }} as accepted_row
    inner join {{ source('linkage', 'bridge') }} as bridge using (record_key)
    where bridge.feed = '{{ feed }}'
)
{%- endmacro %}

{#- Which of several returns of the same thing to keep: the newest collection year, then the latest
    month in it, then the row furthest down the file. Use inside `order by`. -#}
{% macro newest_return() -%}
delivery_year desc, delivery_month desc, delivery_id desc, row_number desc
{%- endmacro %}

{#- Best-known value: the most frequent, ties to the latest, then to the source with the lowest
    rank. A feed counts once a year, so that one which reports every month does not outvote the
    others. Expects columns person_id, {{ value }}, year, seen_month, feed and source_rank. -#}
{% macro best_known(relation, value) -%}
(
    select person_id, {{ value }}, source_rank, feed
    from (
        select
            person_id,
            {{ value }},
            count(distinct (feed, year)) as recordings,
            max(seen_month) as last_recorded,
            -- the source quoted is the highest-ranked one that recorded this value
            min(source_rank) as source_rank,
            arg_min(feed, source_rank) as feed
        from {{ relation }}
        where {{ value }} is not null
        group by person_id, {{ value }}
    )
    qualify row_number() over (
        partition by person_id
        order by recordings desc, last_recorded desc, source_rank, {{ value }}
    ) = 1
)
{%- endmacro %}
