-- A month that a provider submitted has an active submission. One without was withdrawn, or the
-- supplier's newest list is not whole: then its rows no longer count, and somebody should ask.
{{ config(severity='warn') }}

{% for feed in ['mhsds', 'csds'] %}
select 1
from {{ accepted(feed, 'header') }} as header
left join {{ active_submission(feed) }} as active using (delivery_supplier, submission_id)
group by delivery_supplier, header.provider_code, header.reporting_month_number
having count(active.submission_id) = 0
{{ 'union all' if not loop.last }}
{% endfor %}
