{#- Every date of a child's that curated and cohort tables show, as model, person_id, shown_date.

    Read from the compiled models; refuses to compile when a table with such a date is not among
    `tables`, when one of `tables` has none, when a date is of nobody, and when an exact date gives
    no reason. Times count as dates. -#}
{% macro dates_shown(tables) %}
    {%- if not execute %}{{ return('select 1') }}{% endif %}
    {%- set found = {} %}
    {%- for node in graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') %}
        {%- set dates = dates_hidden(node) %}
        {%- if dates %}{% do found.update({node.name: (node.relation_name, dates)}) %}{% endif %}
    {%- endfor %}
    {%- set forgotten = found.keys() | reject('in', tables) | sort %}
    {%- set idle = tables | reject('in', found.keys()) | sort %}
    {%- if forgotten or idle %}
        {{ exceptions.raise_compiler_error(
            'dates in the months of birth and death: name ' ~ forgotten ~ ', do not name ' ~ idle
            ~ ' in tests/invariants/dates_in_the_months_of_birth_and_death_are_coarse.sql') }}
    {%- endif %}
    {%- for name, (relation, dates) in found.items() | sort %}
    select
        '{{ name }}' as model,
        person_id,
        unnest([{% for date in dates %}cast({{ date }} as date){{ ', ' if not loop.last }}{% endfor %}])
            as shown_date
    from {{ relation }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{% endmacro %}

{#- The columns of a model that may not show a day in the months of birth and death. -#}
{% macro dates_hidden(node) %}
    {%- set hidden = [] %}
    {%- if node.schema in ('curated', 'cohort') %}
        {%- for column in node.columns.values() %}
            {%- set kind = (column.data_type or '') | lower %}
            {%- if kind.startswith('date') or kind.startswith('timestamp') %}
                {%- set meta = column.config.meta if column.config else column.meta %}
                {%- if 'exact' not in meta %}{% do hidden.append(column.name) %}
                {%- elif not meta.exact is string or meta.exact | length < 20 %}
                    {{ exceptions.raise_compiler_error(
                        node.name ~ '.' ~ column.name ~ ' is exact: give the reason') }}
                {%- endif %}
            {%- endif %}
        {%- endfor %}
        {%- if hidden and 'person_id' not in node.columns %}
            {{ exceptions.raise_compiler_error(
                node.name ~ ' has dates and no person_id: say why they may be exact') }}
        {%- endif %}
    {%- endif %}
    {{ return(hidden) }}
{% endmacro %}
