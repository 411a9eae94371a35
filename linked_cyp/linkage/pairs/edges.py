"""What kind of evidence a scored pair stands on: each kind has a threshold of its own.

A match weight adds up comparisons as if they were independent. They are not: brothers, sisters and
twins share a surname, a home and often a number, so the same weight is near-certainty in one kind
of pair and a coin toss in another (measured: ``benchmarks/thresholds.py``).
"""

from __future__ import annotations

import math

import duckdb

from linked_cyp.identity.comparisons import NULL_LEVEL, level_number

IDENTIFIERS = ("nhs", "upn", "la_child")
EDGE_CLASSES = {
    "identifier": "an NHS number, UPN or local id agrees; birth date or forename too, or unknown",
    "borrowed": "an identifier agrees, but neither birth date nor forename: a sibling's number?",
    "named": "forename and birth date agree, exactly or nearly",
    "home": "birth date, postcode and a form of the forename agree, the surname does not",
    "household": "agrees only in what brothers, sisters and twins share",
    "nameless": "no forename on one side, and no identifier agrees",
}

# Why the adoption wall keeps records apart that could meet through others (pairs/renamed.py).
RENAMED = "forename and birth date alone: what an adopted child keeps"

# Their chance agreements happen at home, so they do not grow with the number of records: they are
# judged by the evidence (the match weight without the prior) alone.
LOCAL = ("borrowed", "home", "household", "nameless")


def agrees_sql() -> str:
    """Whether an identifier agrees, over the ``gamma_`` columns of a pair."""
    exact = (f"gamma_{name} = {level_number(name, 'exact')}" for name in IDENTIFIERS)
    return f"({' OR '.join(exact)})"


def edge_class_sql() -> str:
    """One of :data:`EDGE_CLASSES`, over the ``gamma_`` columns of a pair.

    *household*: the birth date is another one, or the forename is not nearly the same while the
    postcode is. *home*: so it is, but the forename sounds the same or is a form of the other, and
    the surname is another one: twins have one surname and two forenames, not the reverse.
    """
    form = f"gamma_forename >= {level_number('forename', 'form')}"
    same_date = f"gamma_birth_date = {level_number('birth_date', 'exact')}"
    alike = f"gamma_forename >= {level_number('forename', 'dice_80')}"
    other_date = f"gamma_birth_date = {level_number('birth_date', 'differ')}"
    one_home = f"gamma_postcode = {level_number('postcode', 'exact')}"
    return (
        f"(CASE WHEN {agrees_sql()} THEN"
        f" CASE WHEN {other_date} AND NOT {alike} THEN 'borrowed' ELSE 'identifier' END"
        f" WHEN gamma_forename = {level_number('forename', NULL_LEVEL)} THEN 'nameless'"
        f" WHEN {same_date} AND NOT {alike} AND {form} AND {one_home} AND {other_sql()}"
        f" AND gamma_surname <> {level_number('surname', NULL_LEVEL)}"
        " THEN 'home'"
        f" WHEN {other_date} OR NOT {alike} AND {one_home} THEN 'household'"
        " ELSE 'named' END)"
    )


def supported_sql() -> str:
    """Whether birth date or forename support an identifier: they agree, exactly or nearly."""
    alike = f"gamma_forename >= {level_number('forename', 'dice_80')}"
    return f"({alike} OR gamma_birth_date > {level_number('birth_date', 'differ')})"


def prior_weight(con: duckdb.DuckDBPyConnection) -> float:
    """log2 odds of the prior in the model that scored ``linkage.main.pairs``; 0 without a model."""
    rows = con.execute(
        "SELECT (settings ->> 'probability_two_random_records_match')::DOUBLE"
        " FROM linkage.main.model ORDER BY model_id IN"
        " (SELECT max(model_id) FROM linkage.main.pairs) DESC, model_id DESC LIMIT 1"
    ).fetchall()
    return math.log2(rows[0][0] / (1 - rows[0][0])) if rows else 0.0


def weight_sql(prior: float) -> str:
    """The weight by which a pair is judged, over ``match_weight`` and ``edge_class``."""
    local = ", ".join(f"'{name}'" for name in LOCAL)
    return f"(match_weight - CASE WHEN edge_class IN ({local}) THEN {prior!r} ELSE 0 END)"


def classed_pairs_sql(prior: float) -> str:
    """``linkage.main.pairs`` with ``edge_class`` and the ``weight`` by which a pair is judged.

    Weights are rounded: engines differ in the last digits, which must not decide who comes first.
    """
    return (
        f"(SELECT *, round({weight_sql(prior)}, 6) AS weight"
        f" FROM (SELECT *, {edge_class_sql()} AS edge_class FROM linkage.main.pairs"
        f" WHERE NOT {renamed_sql()} AND NOT {renamed_at_home_sql()} AND NOT {misplaced_sql()}))"
    )


# Surnames of which nobody would say that they are one. A new double-barrelled name may keep a part
# of the old one.
OTHER = (NULL_LEVEL, "differ", "dice_45", "dice_60", "part")
# Those that may be two children's, for all that is written: one pair of unrelated surnames in five
# thousand is as alike as ISLAM and ASLAM, which a typing error makes of one no more often.
UNRELATED = (*OTHER, "dice_80")


def other_sql() -> str:
    """The surnames are not nearly the same, or one of them is missing."""
    return _surname_sql(OTHER)


def unrelated_sql() -> str:
    """The surnames do not vouch for one person: they are neither one nor sound the same."""
    return _surname_sql(UNRELATED)


def _surname_sql(labels: tuple[str, ...]) -> str:
    levels = ", ".join(str(level_number("surname", label)) for label in labels)
    return f"(gamma_surname IN ({levels}))"


def renamed_sql() -> str:
    """Only forename and birth date hold the pair together: what an adopted child keeps.

    The surname is another one, no number agrees, and the postcode is another, be it next door. Such
    a pair is never linked, whatever its weight: it would lead from a child's new life to the one
    before.
    """
    return (
        f"(gamma_forename <> {level_number('forename', NULL_LEVEL)} AND {unrelated_sql()}"
        f" AND gamma_postcode < {level_number('postcode', 'exact')} AND NOT {agrees_sql()})"
    )


def renamed_at_home_sql(schema: str = "linkage.main") -> str:
    """The same at one postcode: adopted by the foster carer, or a step-parent's surname?

    Two bare records cannot tell. So it counts as adoption where a record marked with adoption has
    the birth date of one of them and its postcode, forename or surname, or its sex and authority.
    """
    near = f"""SELECT near.record_key FROM {schema}.person_record near
        JOIN (SELECT * FROM {schema}.person_record WHERE exclusion = 'adoption') marked
        ON near.birth_date = marked.birth_date AND near.exclusion IS NULL AND ({_NEAR})"""
    return (
        f"(gamma_forename <> {level_number('forename', NULL_LEVEL)} AND {unrelated_sql()}"
        f" AND NOT {agrees_sql()} AND (record_key_l IN ({near}) OR record_key_r IN ({near})))"
    )


_NEAR = " OR ".join(
    (
        *(f"near.{c} = marked.{c}" for c in ("postcode", "forename_birth_date")),
        "near.surname_birth_date = marked.surname_birth_date",
        *(
            f"near.sex = marked.sex AND near.{c} = marked.{c}"
            for c in ("supplier", "postcode_district")
        ),
    )
)


def vouching_sql() -> str:
    """The pair may carry a child from one surname to another: by a number, or by both names."""
    names = (
        f"NOT {unrelated_sql()} AND gamma_forename >= {level_number('forename', 'dice_80')}"
        f" AND gamma_birth_date > {level_number('birth_date', 'differ')}"
    )
    return f"({agrees_sql()} AND {supported_sql()} OR {names})"


_HELD = """(SELECT (least(record_key, holder), greatest(record_key, holder))
            FROM linkage.main.number_holder)"""


def held_sql() -> str:
    """One record has the other's NHS number, and its year and month of birth."""
    return f"((record_key_l, record_key_r) IN {_HELD})"


def misplaced_sql() -> str:
    """One record has no date of birth to vouch for its NHS number, and not the other's month.

    Nothing in the pair tells a child from a sister with her number: linkage/pseudonyms.py.
    """
    got = "(SELECT record_key FROM linkage.main.number_holder)"
    return f"((record_key_l IN {got} OR record_key_r IN {got}) AND NOT {held_sql()})"


def second_number_sql() -> str:
    """One pupil under two UPNs, as when a school issues one anew: all else agrees.

    Both names and the birth date are the same, and the NHS number or the postcode.
    """
    same = (
        f"gamma_{name} = {level_number(name, 'exact')}"
        for name in ("forename", "surname", "birth_date")
    )
    numbers = f"gamma_nhs = {level_number('nhs', 'exact')}"
    home = f"gamma_postcode = {level_number('postcode', 'exact')}"
    other = f"gamma_nhs <> {level_number('nhs', 'differ')}"
    return f"({' AND '.join(same)} AND ({numbers} OR {home} AND {other}))"


def other_twin_sql() -> str:
    """A number of one twin with the name of the other: it agrees, and the forename is another.

    Over the pair whose number agrees; whether there is such a twin, other pairs tell.
    """
    return f"({agrees_sql()} AND {_unlike_sql()})"


def _unlike_sql() -> str:
    unlike = f"gamma_forename BETWEEN 0 AND {level_number('forename', 'dice_45')}"
    return (
        f"({unlike} AND NOT {other_sql()}"
        f" AND gamma_birth_date = {level_number('birth_date', 'exact')})"
    )


def perhaps_twin_sql() -> str:
    """What twins look like, whether or not their forenames resemble one another."""
    return f"({_unlike_sql()} AND NOT {agrees_sql()})"


def twin_sql() -> str:
    """Another forename with the same surname and birth date, and no identifier that agrees."""
    twin = level_number("forename", "twin")
    return f"(gamma_forename = {twin} AND NOT {agrees_sql()})"
