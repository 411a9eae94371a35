-- Records accepted since the last linkage run are in no curated table until linkage has seen them.
-- Those of people who opted out have no person on purpose.
{{ config(severity='warn') }}

{% for feed, table in [
    ('ssda903', 'header'),
    ('cin_census', 'child_identifiers'),
    ('school_census', 'pupil_on_roll'),
    ('school_census', 'pupil_no_longer_on_roll'),
    ('pds_demographics', 'person'),
    ('mhsds', 'patient'),
    ('csds', 'patient'),
    ('sus_apc', 'spell'),
    ('sus_op', 'appointment'),
    ('sus_ecds', 'attendance'),
] %}
select 1
from {{ accepted(feed, table) }} as accepted_row
where
    record_key is null
    or record_key not in (
        select record_key from {{ source('linkage', 'bridge') }}
        union all
        select record_key from linkage.opted_out
    )
{{ 'union all' if not loop.last }}
{% endfor %}
