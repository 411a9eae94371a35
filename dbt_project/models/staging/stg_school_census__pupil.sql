-- One row per pupil row of a termly return, on roll and no longer on roll.
-- `pupil_id` is the export's own row key; a key that occurs twice in a delivery cannot say which
-- pupil a session or an exclusion belongs to, and `is_key_ambiguous` keeps them apart.
with pupil as (
    select
        person_id,
        link_tier,
        record_key,
        delivery_id,
        row_number,
        delivery_supplier as local_authority,
        delivery_year,
        delivery_month,
        delivery_term,
        true as is_on_roll,
        pupil_on_roll_id as pupil_id,
        school_census_id,
        school_id,
        birth_month,
        sex_code,
        ethnicity_code,
        first_language_code,
        entry_date,
        cast(null as date) as leaving_date,
        enrolment_status_code,
        national_curriculum_year_code,
        sen_provision_code,
        is_part_time,
        boarder_code,
        possible_sessions,
        authorised_absence_sessions,
        unauthorised_absence_sessions,
        summer_half_term_2_possible_sessions,
        summer_half_term_2_authorised_absence_sessions,
        summer_half_term_2_unauthorised_absence_sessions
    from {{ accepted_person('school_census', 'pupil_on_roll') }}
    union all by name
    select
        person_id,
        link_tier,
        record_key,
        delivery_id,
        row_number,
        delivery_supplier as local_authority,
        delivery_year,
        delivery_month,
        delivery_term,
        false as is_on_roll,
        pupil_no_longer_on_roll_id as pupil_id,
        school_census_id,
        school_id,
        birth_month,
        sex_code,
        ethnicity_code,
        first_language_code,
        entry_date,
        leaving_date,
        leaving_national_curriculum_year_code as national_curriculum_year_code,
        is_part_time,
        boarder_code,
        possible_sessions,
        authorised_absence_sessions,
        unauthorised_absence_sessions,
        summer_half_term_2_possible_sessions,
        summer_half_term_2_authorised_absence_sessions,
        summer_half_term_2_unauthorised_absence_sessions
    from {{ accepted_person('school_census', 'pupil_no_longer_on_roll') }}
)

select
    *,
    count(*) over (partition by delivery_id, is_on_roll, pupil_id) > 1 as is_key_ambiguous
from pupil
