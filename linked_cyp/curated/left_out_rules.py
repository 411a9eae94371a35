"""Why a delivered row is in no curated table, feed by feed: what the models say, told once more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NOT_LINKED, IN_NO_TABLE, AGAIN = "not_linked", "person_in_no_table", "same_thing_again"
NEWEST = "delivery_year DESC, delivery_month DESC, delivery_id DESC, row_number DESC"

# What each reason means, for whoever reads the table.
REASONS: Mapping[str, str] = {
    "delivery_superseded": "A newer version of the delivery counts.",
    "delivery_rejected": "The delivery was refused after it had been taken.",
    "not_curated": "No curated table is made of this delivered table.",
    NOT_LINKED: "The record belongs to no linked person: opted out, or newer than the linkage.",
    IN_NO_TABLE: "The person is in no table: withheld or sensitive.",
    "parent_left_out": "The row that it belongs to is of nobody who counts.",
    AGAIN: "A newer or fuller row says the same thing.",
    "no_date": "It has no date, or a default date before 1930.",
    "before_birth": "It is dated before the child could have been concerned.",
    "after_the_snapshot": "It is dated after the export that holds it.",
    "month_of_birth_or_death": "Its day would tell the day of a birth or death.",
    "not_in_newest_snapshot": "A newer whole export no longer holds it.",
    "not_active": "The submission was replaced by another.",
    "deleted": "The supplier deleted it.",
    "confidential": "The supplier marked it as confidential.",
    "withheld_identity": "The patient's identity is withheld.",
    "cancelled": "The register cancelled or replaced the entry.",
    "stillbirth": "The child was not born alive.",
    "patient_left_out": "The practice's patient is dummy, deleted, confidential or dissents.",
    "no_code": "It says nothing: no code, or the code of an opt-out.",
    "no_year": "Its academic year cannot be read.",
    "not_an_appointment": "It is a ward attendance, or not yet due.",
    "episode_repair": "Episode repair removes it (curated.looked_after_episode_removed).",
    "blocked": "The slot was blocked for no patient.",
}


@dataclass(frozen=True)
class Unless:
    """Rows where ``where`` is true are left out for the reason."""

    reason: str
    where: str


@dataclass(frozen=True)
class Again:
    """Of the rows that count so far with one key, all but the first are left out."""

    key: str
    order: str = NEWEST
    reason: str = AGAIN


@dataclass(frozen=True)
class Numbered:
    """The rows that count so far are numbered within a key."""

    name: str
    key: str
    order: str


Step = Unless | Again | Numbered


@dataclass(frozen=True)
class Rule:
    """``made``: the curated table with one row for each row kept; a condition may follow."""

    feed: str
    tables: tuple[str, ...]
    made: str | None = None
    steps: tuple[Step, ...] = ()


LINKED = Unless(NOT_LINKED, "person_id IS NULL")
CHILD = Unless(IN_NO_TABLE, "NOT is_child")


def dated(column: str) -> Unless:
    return Unless("no_date", f"{column} IS NULL OR {column} < DATE '1930-01-01'")


def born(column: str, days: int) -> Unless:
    return Unless("before_birth", f"{column} < child_birth_month - INTERVAL {days} DAY")


def _of_care(table: str, made: str, day: str) -> Rule:
    """An event of the children in need census."""
    key = f"person_id, delivery_supplier, {day}"
    steps = (LINKED, CHILD, dated(day), born(day, 217), Again(key))
    return Rule("cin_census", (table,), f"curated.{made}", steps)


def _of_year(table: str, made: str) -> Rule:
    steps = (LINKED, CHILD, Again("person_id, delivery_supplier, delivery_year"))
    return Rule("ssda903", (table,), f"curated.{made}", steps)


def _of_sus(feed: str, table: str, made: str, key: str, day: str, more: tuple[Step, ...]) -> Rule:
    """A record of the Secondary Uses Service: ``key`` is the feed's, ``number`` the provider's."""
    number = f"provider_{key.removesuffix('_id')}_number"
    log = (
        f"SELECT l.{key}, d.supplier, s.period_month, l.is_deleted FROM"
        f" warehouse.pseudonymised.{feed}__insert_delete_log AS l"
        " JOIN warehouse.staging.stg_delivery AS s USING (delivery_id)"
        " JOIN warehouse.pseudonymised.delivery AS d USING (delivery_id)"
        f" QUALIFY row_number() OVER (PARTITION BY l.{key}, d.supplier ORDER BY"
        " s.period_month DESC, l.import_log_id DESC, coalesce(l.source_file, 0) DESC,"
        " l.row_number DESC) = 1"
    )
    deleted = (
        f"EXISTS (SELECT 1 FROM ({log}) AS i WHERE i.{key} = r.{key} AND i.supplier ="
        " r.delivery_supplier AND i.is_deleted AND i.period_month >= r.delivery_month)"
    )
    newest = "delivery_month DESC, received_date DESC NULLS LAST"
    return Rule(
        feed,
        (table,),
        f"curated.{made}",
        (
            Again(f"{key}, delivery_supplier", f"{newest}, delivery_id DESC, row_number DESC"),
            LINKED,
            Unless("deleted", deleted),
            Unless("withheld_identity", "withheld_identity_reason_code IS NOT NULL"),
            CHILD,
            dated(day),
            *more,
            Again(
                f"person_id, provider_code, {day}, coalesce({number}, {key})",
                f"{newest}, row_number DESC",
            ),
        ),
    )


_NEWEST_SNAPSHOT = Unless(
    "not_in_newest_snapshot",
    "delivery_id NOT IN (SELECT delivery_id FROM warehouse.staging.stg_gp_olids__delivery)",
)
_PATIENT = Unless(
    "patient_left_out",
    "record_key NOT IN (SELECT record_key FROM warehouse.staging.stg_gp_olids__patient)",
)
_CONFIDENTIAL = Unless("confidential", "is_confidential")
_DELETED = Unless("deleted", "is_deleted")
_UNIT = (
    "CASE WHEN result_unit_code IN ('kg', 'Kg', 'kilograms') THEN 'kg' WHEN result_unit_code IN"
    " ('cm', 'm', 'metres') THEN 'cm' WHEN result_unit_code IN ('mmHg', 'mm[Hg]') THEN 'mmHg'"
    " ELSE result_unit_code END"
)
_RESULT = "result_value * CASE WHEN result_unit_code IN ('m', 'metres') THEN 100 ELSE 1 END"


def _of_practice(
    table: str, made: str | None, day: str, more: tuple[Step, ...], *before: Step
) -> Rule:
    snapshot = (
        f"{day}::DATE > (SELECT any_value(p.snapshot_date) FROM"
        " warehouse.staging.stg_gp_olids__patient AS p WHERE p.record_key = r.record_key)"
    )
    ahead = (
        ()
        if table in ("appointment", "episode_of_care")
        else (Unless("after_the_snapshot", snapshot),)
    )
    dates = (
        (dated(day), born(f"{day}::DATE", 0))
        if table != "episode_of_care"
        else (Unless("no_date", f"{day} IS NULL"),)
    )
    steps = (LINKED, _NEWEST_SNAPSHOT, _PATIENT, _DELETED, *before, CHILD, *dates, *ahead, *more)
    return Rule("gp_olids", (table,), f"curated.{made}" if made else None, steps)


def _submitted(feed: str, table: str, made: str | None, key: str, day: str) -> Rule:
    """A row of mental health or community data."""
    active = (
        f"SELECT s.supplier, a.submission_id FROM warehouse.pseudonymised.{feed}__active_submission"
        " AS a JOIN warehouse.staging.stg_delivery AS s USING (delivery_id)"
        " QUALIFY s.period_month = max(s.period_month) OVER (PARTITION BY s.supplier)"
    )
    steps = (
        Unless("not_active", f"(delivery_supplier, submission_id) NOT IN ({active})"),
        Again(f"delivery_supplier, {key}", f"effective_from_at DESC, {NEWEST}"),
        LINKED,
        CHILD,
        dated(day),
    )
    return Rule(feed, (table,), f"curated.{made}" if made else None, steps)


_YEAR = "academic_year_text"
_TWO = f"regexp_full_match({_YEAR}, '[0-9]{{4}}[/-]?([0-9]{{2}}|[0-9]{{4}})')"
_ACADEMIC_YEAR = (
    f"CASE WHEN regexp_full_match({_YEAR}, '[0-9]{{4}}') THEN {_YEAR}::INTEGER WHEN {_TWO} AND"
    f" right((left({_YEAR}, 4)::INTEGER + 1)::VARCHAR, 2) = right({_YEAR}, 2)"
    f" THEN left({_YEAR}, 4)::INTEGER + 1 END"
)


def _result(table: str) -> Rule:
    steps = (
        LINKED,
        CHILD,
        Unless("no_year", f"({_ACADEMIC_YEAR}) IS NULL"),
        Again(f"person_id, {_ACADEMIC_YEAR}"),
    )
    return Rule("npd_attainment", (table,), f"curated.attainment_{table}", steps)


def _extracted(table: str, made: str, day: str) -> Rule:
    """A row of the safeguarding data set, whose newest extract is the whole."""
    newest = (
        "delivery_id NOT IN (SELECT arg_max(delivery_id, period) FROM"
        " warehouse.staging.stg_delivery WHERE feed = 'ssd' GROUP BY supplier)"
    )
    steps = (
        LINKED,
        CHILD,
        Unless("not_in_newest_snapshot", newest),
        dated(day),
        born(day, 217),
    )
    return Rule("ssd", (table,), f"curated.{made}", steps)


_IN_FORCE = "coalesce(is_latest, true) AND coalesce(upper(cancelled_code) IN ('N', '0'), true)"
_ENTRY = (
    LINKED,
    Again("delivery_supplier, row_id"),
    Unless("cancelled", f"NOT ({_IN_FORCE})"),
)
_VITAL = " OR ".join(
    f"coalesce(date_trunc('month', session_date) = child_{of}_month, false)"
    for of in ("birth", "death")
)
_PRESCRIBED = "person_id, effective_date, bnf_code, medicine_code"

RULES: tuple[Rule, ...] = (
    Rule(
        "ssda903",
        ("episodes",),
        "curated.looked_after_episode",
        (
            LINKED,
            CHILD,
            Unless(
                "episode_repair",
                "EXISTS (SELECT 1 FROM warehouse.staging.int_looked_after_episode_kept AS k WHERE"
                " k.delivery_id = r.delivery_id AND k.row_number = r.row_number AND"
                " k.removal_rule IS NOT NULL)",
            ),
        ),
    ),
    Rule(
        "ssda903",
        ("missing",),
        "curated.missing_episode",
        (
            LINKED,
            CHILD,
            dated("missing_start_date"),
            Again("person_id, delivery_supplier, missing_start_date"),
        ),
    ),
    _of_year("oc2", "looked_after_outcome"),
    _of_year("oc3", "care_leaver"),
    _of_care("cin_details", "cin_referral", "referral_date"),
    _of_care("assessments", "cin_assessment", "assessment_start_date"),
    _of_care("child_protection_plans", "child_protection_plan", "plan_start_date"),
    _of_care("cin_plan_dates", "cin_plan", "plan_start_date"),
    _of_care("section_47", "section_47", "section_47_start_date"),
    Rule(
        "school_census",
        ("pupil_on_roll", "pupil_no_longer_on_roll"),
        "curated.school_enrolment",
        (
            LINKED,
            CHILD,
            Again(
                "person_id, school_id, delivery_year, delivery_term",
                "of_table DESC, entry_date DESC, delivery_id DESC, row_number DESC",
            ),
        ),
    ),
    _of_sus("sus_apc", "spell", "hospital_admission", "spell_id", "admission_date", ()),
    _of_sus("sus_ecds", "attendance", "emergency_attendance", "attendance_id", "arrival_date", ()),
    _of_sus(
        "sus_op",
        "appointment",
        "outpatient_appointment",
        "appointment_id",
        "appointment_date",
        (
            Unless(
                "not_an_appointment",
                "first_attendance_code = '5' OR attendance_status_code = '0'",
            ),
        ),
    ),
    _of_practice(
        "observation",
        "gp_event",
        "effective_date",
        (Again(f"person_id, effective_date, snomed_code, {_RESULT}, {_UNIT}"),),
        _CONFIDENTIAL,
        Unless(
            "no_code",
            "snomed_code IS NULL OR snomed_code IN ('827241000000103', '827261000000102')",
        ),
    ),
    _of_practice(
        "medication_order",
        "prescription",
        "effective_date",
        (
            Numbered(
                "repeat_number", f"{_PRESCRIBED}, practice_code", "quantity_value, duration_days"
            ),
            Again(f"{_PRESCRIBED}, repeat_number", "practice_code"),
        ),
        _CONFIDENTIAL,
        Unless("no_code", "coalesce(bnf_code, medicine_code) IS NULL"),
    ),
    _of_practice(
        "appointment",
        "gp_appointment",
        "start_at",
        (Again("delivery_id, appointment_id", "row_number DESC"),),
        Unless("blocked", "is_blocked"),
    ),
    _of_practice(
        "episode_of_care",
        "gp_registration",
        "registration_start_date",
        (Again("person_id, practice_code, registration_start_date"),),
    ),
    _of_practice("encounter", None, "effective_date", ()),
    _of_practice("referral_request", None, "effective_date", ()),
    _submitted(
        *("mhsds", "care_contact", "mental_health_contact"),
        *("service_request_id, care_contact_id", "contact_date"),
    ),
    _submitted(
        *("mhsds", "referral", "mental_health_referral"), *("service_request_id", "referral_date")
    ),
    *map(_result, ("eyfsp", "phonics", "ks1", "mtc", "ks2", "ks4")),
    Rule(
        "npd_attainment",
        ("pupil_premium",),
        "curated.pupil_premium",
        (
            LINKED,
            CHILD,
            Unless("no_date", "premium_year_start_date IS NULL"),
            Again("person_id, year(premium_year_start_date)"),
        ),
    ),
    _extracted("contacts", "social_care_contact", "contact_date"),
    _extracted("early_help_episodes", "early_help_episode", "early_help_start_date"),
    Rule(
        "birth_notification",
        ("notification",),
        "curated.birth WHERE is_notified",
        (
            LINKED,
            Unless("stillbirth", "coalesce(birth_outcome_code, '1') <> '1'"),
            CHILD,
            Again("person_id"),
        ),
    ),
    Rule(
        "births_registration",
        ("birth",),
        "curated.birth WHERE is_registered",
        (
            *_ENTRY,
            Unless("stillbirth", "stillbirth_icd10_code IS NOT NULL"),
            CHILD,
            Again("person_id"),
        ),
    ),
    Rule(
        "msds",
        ("maternity_record",),
        "curated.birth WHERE has_maternity_record",
        (LINKED, CHILD, Again("person_id")),
    ),
    Rule("deaths_registration", ("death",), "curated.death", (*_ENTRY, CHILD, Again("person_id"))),
    Rule(
        "child_death_review",
        ("child_death",),
        "curated.child_death_review",
        (LINKED, CHILD, Again("person_id")),
    ),
    Rule(
        "attendance_daily",
        ("sessions",),
        "curated.attendance_session",
        (
            LINKED,
            CHILD,
            Unless("no_date", "session_date IS NULL"),
            Unless("month_of_birth_or_death", _VITAL),
            Again("person_id, school_urn, session_date, session_code"),
        ),
    ),
)
