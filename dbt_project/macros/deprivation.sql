{#- English deprivation of the rows of a relation with columns lsoa11_code and lsoa21_code: the index
    of 2019 by the areas of 2011, that of 2025 by the areas of 2021, never the one by the other's.
    Quintiles are two deciles, whose cuts are the whole parts of ranks times k/10. -#}
{% macro with_deprivation(relation) -%}
(
    select
        placed.*,
        imd_2019.imd_decile as imd_2019_decile,
        cast((imd_2019.imd_decile + 1) // 2 as integer) as imd_2019_quintile,
        imd_2025.imd_decile as imd_2025_decile,
        cast((imd_2025.imd_decile + 1) // 2 as integer) as imd_2025_quintile
    from {{ relation }} as placed
    left join {{ ref('imd_2019') }} as imd_2019 on imd_2019.lsoa11_code = placed.lsoa11_code
    left join {{ ref('imd_2025') }} as imd_2025 on imd_2025.lsoa21_code = placed.lsoa21_code
)
{%- endmacro %}
