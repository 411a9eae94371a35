{#- The submissions of mental health and community data that count: those on the newest list of each
    supplier. A month that was submitted again is on it with its last submission only. -#}
{% macro active_submission(feed) -%}
(
    select distinct delivery_supplier, submission_id
    from {{ accepted(feed, 'active_submission') }}
    qualify delivery_month = max(delivery_month) over (partition by delivery_supplier)
)
{%- endmacro %}

{#- Of the rows of active submissions the latest effective one of each thing, which `key` names
    within a supplier: open records are sent again every month, and rows come twice. -#}
{% macro latest_effective(feed, table, key) -%}
(
    select submitted.*
    from {{ accepted(feed, table) }} as submitted
    inner join {{ active_submission(feed) }} as active using (delivery_supplier, submission_id)
    qualify row_number() over (
        partition by submitted.delivery_supplier, {{ key | join(', ') }}
        order by submitted.effective_from_at desc, {{ newest_return() }}
    ) = 1
)
{%- endmacro %}
