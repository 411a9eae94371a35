{#- Sessions of absence from which a pupil counted as persistently absent before 2015/16, by academic
    year (named by the year in which it ends), the terms held and age: DfE's fixed thresholds, about a
    fifth of a usual year to 2009/10 and 15 % after. Null where none was published for those terms.
    From 2012/13 the sixth half term counts, but not for pupils aged 15, whose whole summer term is
    left out here (ECHILD), so that theirs is the threshold of two terms. -#}
{% macro persistent_absence_threshold() -%}
case
    when academic_year between 2006 and 2010 then
        case terms when '1' then 28 when '1,2' then 52 when '1,2,3' then 64 end
    when academic_year between 2011 and 2015 then
        case terms
            when '1' then 22
            when '2' then 16
            when '1,2' then 38
            when '1,2,3' then case when academic_year >= 2013 then 56 else 46 end
        end
end
{%- endmacro %}
