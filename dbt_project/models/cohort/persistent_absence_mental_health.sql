-- What mental health services and hospitals saw of a child before and in a school year. Years of
-- which no contact was delivered say "not known" rather than "none"; a referral does not show a year
-- to be covered, as an open one is sent again with the date of long ago.
with absence as (
    select *, make_date(academic_year - 1, 9, 1) as year_start
    from {{ ref('absence_year') }}
),

referral as (
    select *, {{ academic_year('referral_date') }} as academic_year
    from {{ ref('mental_health_referral') }}
),

contact as (
    select *, {{ academic_year('contact_date') }} as academic_year
    from {{ ref('mental_health_contact') }}
),

covered as (
    select distinct academic_year from contact
),

referred as (
    select person_id, academic_year, count(*) as referrals, bool_and(is_rejected) as is_all_rejected
    from referral
    group by person_id, academic_year
),

first_referred as (
    select person_id, min(referral_date) as first_referral_date
    from referral
    group by person_id
),

seen as (
    select
        person_id,
        academic_year,
        count(*) filter (where is_attended) as attended,
        count(*) filter (where attendance_code = '3') as missed
    from contact
    group by person_id, academic_year
),

self_harm as (
    select
        admission.person_id,
        {{ academic_year('admission.admission_date') }} as academic_year,
        count(distinct admission.admission_number) as admissions
    from {{ ref('hospital_admission') }} as admission
    inner join {{ ref('hospital_diagnosis_group') }} as coded using (person_id, admission_number)
    where coded.diagnosis_group = 'self_harm'
        and admission.is_unplanned
        and admission.admission_age_years between 10 and 24
    group by all
)

select
    absence.person_id,
    absence.academic_year,
    absence.age_at_start,
    absence.possible_sessions,
    absence.absence_sessions,
    absence.absence_rate,
    absence.is_persistently_absent,
    absence.is_severely_absent,
    covered.academic_year is not null as is_mental_health_known,
    case when covered.academic_year is not null then
        coalesce(first_referred.first_referral_date < absence.year_start, false)
    end as was_referred_before_year,
    case when covered.academic_year is not null then
        cast(coalesce(referred.referrals, 0) as integer)
    end as referral_count,
    referred.is_all_rejected as is_every_referral_rejected,
    case when covered.academic_year is not null then
        cast(coalesce(seen.attended, 0) as integer)
    end as attended_contact_count,
    case when covered.academic_year is not null then
        cast(coalesce(seen.missed, 0) as integer)
    end as missed_contact_count,
    cast(coalesce(self_harm.admissions, 0) as integer) as self_harm_admission_count,
    case
        when covered.academic_year is null then 'not known'
        when seen.attended > 0 then 'seen'
        when referred.referrals > 0 then 'referred, not seen'
        when first_referred.first_referral_date < absence.year_start then 'referred earlier'
        else 'none'
    end as mental_health_group
from absence
left join covered using (academic_year)
left join referred using (person_id, academic_year)
left join first_referred using (person_id)
left join seen using (person_id, academic_year)
left join self_harm using (person_id, academic_year)
