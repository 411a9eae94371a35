-- Every curated row of general practice comes from staged rows of a child, and each of those is
-- there, is a copy of one that is, or was left out by a stated rule.
with dated as (
    {% for table in ['observation', 'medication_order'] %}
    select
        '{{ table }}' as table_name,
        staged.person_id,
        staged.effective_date,
        staged.practice_code,
        {% if table == 'observation' -%}
        (staged.snomed_code, staged.result_value, staged.result_unit)::varchar as what
        {%- else -%}
        (staged.bnf_code, staged.medicine_code)::varchar as what
        {%- endif %}
    from {{ ref('stg_gp_olids__' ~ table) }} as staged
    inner join {{ ref('child') }} as child using (person_id)
    where
        {{ not_before_birth('staged.effective_date', 'child.birth_month', 0) }}
        and staged.effective_date between date '1930-01-01' and staged.snapshot_date
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

counted as (
    select
        'gp_event' as model,
        (select count(*) from {{ ref('gp_event') }}) as curated,
        (
            select count(distinct (person_id, effective_date, what))
            from dated where table_name = 'observation'
        ) as expected
    union all
    select
        'prescription',
        (select count(*) from {{ ref('prescription') }}),
        (
            -- of the copies at several practices, those of the one with the most
            select coalesce(sum(most), 0)
            from (
                select max(issues) as most
                from (
                    select person_id, effective_date, what, practice_code, count(*) as issues
                    from dated where table_name = 'medication_order'
                    group by all
                )
                group by person_id, effective_date, what
            )
        )
    union all
    select
        'gp_registration',
        (select count(*) from {{ ref('gp_registration') }}),
        (
            select count(*)
            from {{ ref('stg_gp_olids__registration') }}
            inner join {{ ref('child') }} using (person_id)
        )
)

select model
from counted
where curated is distinct from expected
