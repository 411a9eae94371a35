"""Who objected is in no link and no bridge; without a list there is neither. Made-up lists, real
linkage."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.vocabulary import OPT_OUTS
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.expectations import run_rules
from linked_cyp.identity import pseudonym_keys
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.identifiers import IDENTIFIERS, on_series
from linked_cyp.identity.keys import Keys
from linked_cyp.ingest import ledger
from linked_cyp.linkage import (
    build_person_records,
    predict,
    publish_bridge,
    resolve,
    train,
    update_registry,
)
from linked_cyp.linkage.records.checks import person_record_rules
from linked_cyp.opt_outs.policy import MAX_AGE_DAYS, Policy, Rule, load_policy, not_applied
from linked_cyp.release import gate
from linked_cyp.release.record import opt_out_table
from linked_cyp_tests.encoded_support import MASTER
from linked_cyp_tests.unit.linkage.test_identities import CONTRACTS, put

TODAY = dt.date(2025, 4, 20)
LISTED = "2025-04-15"
REASON = "approved by the confidentiality group"
# The flags are tested on a feed with NHS numbers in clear.
SCOPED: dict[str, Contract] = CONTRACTS | {
    "sus_apc": replace(CONTRACTS["sus_apc"], opt_outs=OPT_OUTS)
}
POSSIBLE = pl.Series([f"99900{n:05d}" for n in range(200)])
NHS = POSSIBLE.filter(on_series(IDENTIFIERS["nhs_number"].valid, POSSIBLE)).to_list()
POSSIBLE_UPN = pl.Series([f"B80120000{n:04d}" for n in range(900)])
UPN = POSSIBLE_UPN.filter(on_series(IDENTIFIERS["upn"].valid, POSSIBLE_UPN)).to_list()
NAMES = (
    *("ADA", "BEN", "CHLOE", "DEV", "EVE", "FINN", "GITA", "HUGO"),
    *("IRIS", "JONAH", "KEZIA", "LUCA"),
)
SURNAMES = (
    *("NEILL", "OKORO", "SHAH", "QUILL", "BROWN", "TAN", "EVANS", "MURPHY"),
    *("ZHANG", "WOJCIK", "ADEYEMI", "FRASER"),
)
MOST = 40  # children


class World:
    """A few children in every store of one connection in memory."""

    def __init__(self) -> None:
        self.con = duckdb.connect(config={"threads": 1})
        self.con.execute(
            "ATTACH ':memory:' AS identifiable; ATTACH ':memory:' AS linkage;"
            "ATTACH ':memory:' AS warehouse; CREATE SCHEMA warehouse.pseudonymised;"
            "CREATE SCHEMA warehouse.provenance"
        )
        ledger.prepare(self.con)
        self.keys = Keys(MASTER.digest())
        born = Encoder(self.keys).tokens("birth_date", pl.Series(map(str, map(_born, range(MOST)))))
        self.child = {token: child for child, token in enumerate(born.tolist())}

    def put(self, feed: str, table: str, rows: list[dict[str, Any]], **given: str) -> None:
        periods = {"month": "2025-03", "snapshot": LISTED, "academic_term": "2024-autumn"}
        period = given.get("period") or periods.get(CONTRACTS[feed].period_kind, "2025")
        supplier = given.get("supplier", "ashmere")
        put(self.con, f"{supplier}.{period}.{feed.encode().hex()[:12]}", feed, table, rows)

    def spine(self, *children: int, nhs: dict[int, str] | None = None) -> None:
        self.put("pds_demographics", "person", [_person(c, nhs or {}) for c in children])

    def hospital(self, *children: int, numbers: list[str | None] | None = None) -> None:
        rows = [
            {
                "nhs_number": (numbers or NHS)[place] if numbers else NHS[child],
                "local_patient_id": f"H{child}",
                "spell_id": str(child),
                "birth_date": _born(child),
                "sex_code": "2",
            }
            for place, child in enumerate(children)
        ]
        self.put("sus_apc", "spell", rows)

    def school(self, *children: int) -> None:
        rows = [
            {
                "upn": UPN[child],
                "forename": NAMES[child],
                "surname": SURNAMES[child],
                "birth_date": _born(child),
                "sex_code": "F",
                "pupil_on_roll_id": str(child),
            }
            for child in children
        ]
        self.put("school_census", "pupil_on_roll", rows)
        self.put(
            "school_census",
            "addresses_on_roll",
            [
                {"pupil_on_roll_id": str(child), "postcode": f"NW{child + 1} 5AB"}
                for child in children
            ],
        )

    def care(self, *children: int) -> None:
        rows = [
            {
                "child_id": f"C{child}",
                "upn": UPN[child],
                "birth_date": _born(child),
                "sex_code": "F",
            }
            for child in children
        ]
        self.put("ssda903", "header", rows)

    def remain(self, *numbers: str, **given: str) -> None:
        rows = [{"nhs_number": number} for number in numbers]
        self.put("national_data_opt_out", "remaining", rows, **given)

    def type_1(self, *events: tuple[str, str, str], **given: str) -> None:
        rows = [
            {"nhs_number": n, "status_code": code, "recorded_date": dt.date.fromisoformat(day)}
            for n, code, day in events
        ]
        self.put("type1_opt_out", "status", rows, **given)

    def object(self, *rows: dict[str, Any], **given: str) -> None:
        early = {"received_date": dt.date(2024, 1, 1), "scope_code": "research"}
        self.put("local_objection", "objection", [early | row for row in rows], **given)

    def records(self, policy: Policy | None = None, today: dt.date = TODAY) -> dict[str, int]:
        return build_person_records(
            self.con, SCOPED, self.keys, opt_outs=policy or Policy(), today=today
        )

    def link(self, policy: Policy | None = None) -> None:
        self.records(policy)
        train(self.con)
        predict(self.con)
        resolve(self.con)
        update_registry(self.con)
        publish_bridge(self.con)

    def linked(self, feed: str) -> set[int]:
        """Children of whom a feed's records are among the person records."""
        rows = self.con.execute(
            "SELECT birth_date FROM linkage.main.person_record"
            " JOIN linkage.main.source USING (source) WHERE feed = ?",
            [feed],
        ).fetchall()
        return {self.child[token] for (token,) in rows}

    def objectors(self) -> set[int]:
        """Children of whom some record is marked."""
        rows = self.con.execute(
            "SELECT birth_date FROM linkage.main.person_record"
            " WHERE record_key IN (FROM linkage.main.objector)"
        ).fetchall()
        return {self.child[token] for (token,) in rows}

    def persons(self) -> dict[str, dict[int, int]]:
        """Person ids of the bridge, by feed and child."""
        found: dict[str, dict[int, int]] = {}
        for feed, token, person in self.con.execute(
            "SELECT b.feed, birth_date, person_id FROM warehouse.linkage.bridge b"
            " JOIN linkage.main.person_record r USING (record_key) WHERE alternative = 0"
        ).fetchall():
            found.setdefault(feed, {})[self.child[token]] = person
        return found


def _born(child: int) -> dt.date:
    return dt.date(2010, 3, 4) + dt.timedelta(days=41 * child)


def _person(child: int, nhs: dict[int, str]) -> dict[str, Any]:
    return {
        "nhs_number": nhs.get(child, NHS[child]),
        "forename": NAMES[child],
        "surname": SURNAMES[child],
        "birth_date": _born(child),
        "sex_code": "2",
        "is_superseded": False,
    }


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    with made.con:
        yield made


def policy(**rules: Rule) -> Policy:
    return Policy({**not_applied(REASON).rules, **rules})


def applied(name: str) -> Policy:
    return policy(**{name: Rule(MAX_AGE_DAYS[name])})


NATIONAL, TYPE_1, OBJECTION = (applied(name) for name in OPT_OUTS)
BOTH_NHS = policy(**{name: Rule(MAX_AGE_DAYS[name]) for name in OPT_OUTS[:2]})

# --- no list, no build --------------------------------------------------------------------------


def test_without_its_list_nothing_is_built_and_the_list_is_named(world: World) -> None:
    world.hospital(0)
    world.school(0)
    with pytest.raises(LinkedCypError) as refused:
        world.records()
    for name in OPT_OUTS:
        assert f"no list of {name} has been accepted" in str(refused.value)
    assert "sus_apc" in str(refused.value)
    assert "school_census" in str(refused.value)
    tables = world.con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'")
    assert tables.fetchall() == []


def test_only_lists_that_some_feed_needs_are_asked_for(world: World) -> None:
    world.school(0)
    with pytest.raises(LinkedCypError, match="local_objection") as refused:
        world.records()
    assert "national" not in str(refused.value)
    world.object()  # a list of nobody is a list
    assert world.records()["persons"] == 1


@pytest.mark.parametrize(
    ("today", "complaint"),
    [
        (dt.date(2025, 5, 6), None),
        (dt.date(2025, 5, 7), "is of 2025-04-15, more than 21 days ago"),
        (dt.date(2025, 4, 14), "dated in the future"),
    ],
)
def test_a_list_has_its_time(world: World, today: dt.date, complaint: str | None) -> None:
    world.spine(0)
    world.remain(NHS[0])
    if complaint is None:
        assert world.records(NATIONAL, today)["persons"] == 1
    else:
        with pytest.raises(LinkedCypError, match=complaint):
            world.records(NATIONAL, today)


def test_of_lists_kept_by_several_the_oldest_tells(world: World) -> None:
    world.school(0)
    world.object(supplier="one", period="2025-04-15")
    world.object(supplier="two", period="2025-01-15")
    with pytest.raises(LinkedCypError, match="is of 2025-01-15"):
        world.records(OBJECTION)


def test_a_list_of_a_day_to_come_is_refused_beside_others_too(world: World) -> None:
    world.school(0)
    world.object(supplier="one", period="2025-04-15")
    world.object(supplier="two", period="2045-04-15")
    with pytest.raises(LinkedCypError, match="dated in the future: 2045-04-15"):
        world.records(OBJECTION)


# The list that was taken, then the one that was refused: supplier, day, version and hour of reading
TAKEN = ("one", "2025-04-15", "2", 9)
REFUSED = (
    (("one", "2025-04-16", "1", 10), True),
    (("one", "2025-04-15", "3", 10), True),  # of the same day, a newer version
    (("one", "2025-04-15", "3", 8), True),  # whichever came first
    (("one", "2025-04-15", "2", 10), True),
    (("two", "2025-04-01", "1", 10), True),  # another's, of whom nothing is known
    (("one", "2025-04-15", "2", 8), False),  # put right in its place
    (("one", "2025-04-15", "1", 10), False),
    (("one", "2025-04-01", "9", 10), False),
)


@pytest.mark.parametrize(("refused", "stops"), REFUSED)
def test_a_refused_list_stops_the_build_until_a_newer_is_taken_or_it_is_withdrawn(
    world: World, refused: tuple[str, str, str, int], stops: bool
) -> None:
    world.school(0)
    for outcome, (supplier, day, version, hour) in (("accepted", TAKEN), ("rejected", refused)):
        world.con.execute(
            f"INSERT INTO {ledger.DELIVERY} (delivery_id, supplier, feed, period, version_order,"
            " content_sha256, outcome, received_at)"
            " VALUES ($1, $2, 'local_objection', $3, $4, $1, $1, $5)",
            [outcome, supplier, day, version, dt.datetime(2025, 4, 20, hour)],
        )
    if stops:
        with pytest.raises(LinkedCypError, match=r"was refused and none taken since \(rejected\)"):
            world.records(OBJECTION)
        world.con.execute(f"INSERT INTO {ledger.WITHDRAWAL} (delivery_id) VALUES ('rejected')")
    assert world.records(OBJECTION)["persons"] == 1


def test_what_is_not_applied_says_why_all_the_way_into_the_release(world: World) -> None:
    world.hospital(0)
    world.link(not_applied(REASON))
    assert world.linked("sus_apc") == {0}
    (row, *_) = opt_out_table(world.con).rows
    assert (row[0], row[1], row[2]) == ("local_objection", False, REASON)
    assert [r for r in gate(world.con, not_applied(REASON), TODAY) if "opt" in r] == []
    changed = gate(world.con, Policy(), TODAY)
    assert "national_data_opt_out was not applied, and nothing says why: link again" in changed


# --- the operator's settings --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[national_data_opt_out]\napplied = false", "relaxed without saying why"),
        ("[national_data_opt_out]\nmax_age_days = 30", "relaxed without saying why"),
        ("[national_data_opt_out]\napplied = false\nbecause = 'test'", "without saying why"),
        ("[type_1]\napplied = false", "names type_1; there are national_data_opt_out"),
        ("[type1_opt_out]\napply = false", "takes applied, max_age_days and because"),
        ("[type1_opt_out]\napplied = 'no'", "applied is true or false"),
        ("[type1_opt_out]\nmax_age_days = -1", "not negative"),
        ("applied = false", "names applied"),
        ("[[", "cannot be read"),
    ],
)
def test_settings_that_relax_nothing_properly_are_refused(
    tmp_path: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "opt_outs.toml"
    file.write_text(text)
    with pytest.raises(LinkedCypError, match=complaint):
        load_policy(file)


def test_settings_are_strict_unless_they_give_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "opt_outs.toml"
    assert load_policy(file) == Policy()
    assert all(rule.applied for rule in Policy().rules.values())
    file.write_text(f"[type1_opt_out]\napplied = false\nbecause = '''{REASON}\n  today'''")
    rules = load_policy(file).rules
    assert rules["type1_opt_out"] == Rule(45, False, f"{REASON} today")
    assert rules["national_data_opt_out"].applied


# --- the national opt-out -----------------------------------------------------------------------


def test_who_is_not_on_the_reply_is_out_of_health_and_stays_in_education(world: World) -> None:
    world.spine(0, 1)
    world.hospital(0, 1)
    world.school(0, 1)
    world.remain(NHS[0])
    counts = world.records(NATIONAL)
    assert world.linked("pds_demographics") == world.linked("sus_apc") == {0}
    assert world.linked("school_census") == {0, 1}
    assert (counts["persons"], counts["opted out"]) == (4, 2)


def test_without_a_usable_number_nobody_can_be_asked_so_the_record_is_out(world: World) -> None:
    typing_error = NHS[1][:-1] + str((int(NHS[1][-1]) + 1) % 10)
    world.hospital(0, 1, 2, numbers=[NHS[0], typing_error, None])
    world.remain(NHS[0], typing_error)
    world.records(NATIONAL)
    assert world.linked("sus_apc") == {0}
    reasons = world.con.execute("SELECT reason FROM linkage.main.opted_out").fetchall()
    assert reasons == [("no NHS number to ask about",)] * 2


def test_an_empty_reply_leaves_nobody(world: World) -> None:
    world.spine(0, 1)
    world.remain()
    assert world.records(NATIONAL)["persons"] == 0


def test_the_newest_reply_counts_alone(world: World) -> None:
    world.spine(0, 1)
    world.remain(NHS[0], NHS[1], period="2025-04-01")
    world.remain(NHS[0], period="2025-04-15")
    world.records(NATIONAL)
    assert world.linked("pds_demographics") == {0}


def test_of_two_replies_of_a_day_both_must_have_the_number(world: World) -> None:
    world.spine(0, 1)
    world.remain(NHS[0], NHS[1], supplier="one")
    world.remain(NHS[0], supplier="two")
    world.records(NATIONAL)
    assert world.linked("pds_demographics") == {0}


@pytest.mark.parametrize(("remaining", "kept"), [((0,), set()), ((1,), {0}), ((0, 1), {0, 1})])
def test_a_replaced_number_does_not_keep_who_opted_out_under_the_new_one(
    world: World, remaining: tuple[int, ...], kept: set[int]
) -> None:
    """Child 0 had the number of child 1 of the list; a hospital still uses the old one."""
    old, new = NHS[0], NHS[1]
    world.spine(0, nhs={0: new})
    merger = {"nhs_number": new, "superseded_nhs_number": old}
    world.put("pds_demographics", "person_merger", [merger])
    world.hospital(0, numbers=[old])
    world.remain(*(NHS[number] for number in remaining))
    world.records(NATIONAL)
    found = {0} if world.linked("pds_demographics") else set()
    found |= {1} if world.linked("sus_apc") else set()
    assert found == kept


# --- flags of practice systems: inverted, with nulls --------------------------------------------

FLAGS = {
    "FALSE": True, "false": True, " False ": True, "0": True, "f": True, "N": True, "NO": True,
    "opted out": True, "?": True,
    "TRUE": False, "true": False, "1": False, "t": False, "Y": False, "": False, " ": False,
    None: False,
}  # fmt: skip


KEPT = {child for child, is_out in enumerate(FLAGS.values()) if not is_out}


def test_a_flag_that_says_consents_is_an_opt_out_when_it_does_not(world: World) -> None:
    world.hospital(*range(len(FLAGS)))
    rows = [{"nhs_number": NHS[n], "consent_93c1": flag} for n, flag in enumerate(FLAGS)]
    world.put("type1_opt_out", "gp_flag", rows)
    world.records(TYPE_1)
    assert world.linked("sus_apc") == KEPT


def test_a_national_flag_adds_to_the_reply_and_takes_nothing_from_it(world: World) -> None:
    """The last child is opted in by the flag, and not on the reply."""
    last = len(FLAGS)
    world.hospital(*range(last + 1))
    rows = [
        {"nhs_number": NHS[n], "consent_93c1": "FALSE", "national_data_opted_in": flag}
        for n, flag in enumerate([*FLAGS, "TRUE"])
    ]
    world.put("type1_opt_out", "gp_flag", rows)
    world.remain(*NHS[:last])
    world.records(NATIONAL)
    assert world.linked("sus_apc") == KEPT


def test_the_newest_flag_counts(world: World) -> None:
    world.hospital(0, 1)
    for period, flags in (("2025-01-15", ("FALSE", "TRUE")), ("2025-04-15", ("TRUE", "FALSE"))):
        rows = [{"nhs_number": NHS[n], "consent_93c1": flags[n]} for n in range(2)]
        world.put("type1_opt_out", "gp_flag", rows, period=period)
    world.records(TYPE_1)
    assert world.linked("sus_apc") == {0}


# --- dissent and its withdrawal -----------------------------------------------------------------

DISSENT, WITHDRAWN = "827241000000103", "827261000000102"


EVENTS = (
    ([(DISSENT, "2020-01-01")], True),
    ([(DISSENT, "2020-01-01"), (WITHDRAWN, "2021-01-01")], False),
    ([(WITHDRAWN, "2021-01-01"), (DISSENT, "2020-01-01")], False),
    ([(DISSENT, "2021-01-01"), (WITHDRAWN, "2020-01-01")], True),
    ([(DISSENT, "2021-01-01"), (WITHDRAWN, "2021-01-01")], True),
    ([(DISSENT, "2020-01-01"), (WITHDRAWN, "2025-04-16")], True),  # has not come yet
    ([(DISSENT, "2026-01-01")], True),
    ([("9Nu0.", "2020-01-01"), ("9Nu1.", "2021-01-01")], False),
    ([("9nu0", "2020-01-01")], True),
    ([("what is this", "2020-01-01")], True),
    ([(WITHDRAWN, "2020-01-01")], False),
    ([], False),
)


def test_the_latest_event_counts_and_doubt_is_dissent(world: World) -> None:
    world.hospital(*range(len(EVENTS)))
    world.type_1(
        *((NHS[n], code, day) for n, (events, _) in enumerate(EVENTS) for code, day in events)
    )
    world.records(TYPE_1)
    assert world.linked("sus_apc") == {n for n, (_, is_out) in enumerate(EVENTS) if not is_out}


def test_a_dissent_stays_when_a_newer_list_no_longer_has_it(world: World) -> None:
    world.hospital(0, 1)
    world.type_1((NHS[0], DISSENT, "2020-01-01"), period="2025-03-15")
    world.type_1(period="2025-04-15")
    world.records(TYPE_1)
    assert world.linked("sus_apc") == {1}


def test_a_dissent_that_names_nobody_stops_the_build(world: World) -> None:
    world.hospital(0)
    world.type_1(("9990000019", DISSENT, "2020-01-01"), (NHS[1], DISSENT, "2020-01-01"))
    with pytest.raises(LinkedCypError, match="1 dissents have no valid NHS number") as caught:
        world.records(TYPE_1)
    assert "9990000019" not in str(caught.value)


RECORDED = (
    ([(DISSENT, "2020-01-01", False)], True),
    ([(DISSENT, None, False)], True),
    ([(DISSENT, "2020-01-01", True)], False),  # taken back
    ([(DISSENT, "2020-01-01", False), (WITHDRAWN, "2021-01-01", False)], False),
    ([(DISSENT, "2021-01-01", False), (WITHDRAWN, "2021-01-01", False)], True),
    ([(DISSENT, "2020-01-01", False), (WITHDRAWN, "2026-01-01", False)], True),
    ([("195967001", "2020-01-01", False)], False),
    ([(f"{DISSENT}.0", "2020-01-01", False)], True),
    ([(f" '{DISSENT}", "2020-01-01", False)], True),
    ([(f"{DISSENT} | Dissent from secondary use", "2020-01-01", False)], True),
    ([("8.27241E+14", "2020-01-01", False)], True),  # as a spreadsheet shortens it
    ([("8.27261E+14", "2020-01-01", False)], False),
)


def test_a_dissent_in_the_record_counts_for_every_practice(world: World, tmp_path: Path) -> None:
    """Each child has two records, and what was written is in the first alone."""
    key = bytes(range(32))
    for path, content in (
        (tmp_path / "keys" / "master.key", MASTER.digest()),
        (pseudonym_keys.path(tmp_path / "keys", "ashmere"), key),
    ):
        pseudonym_keys.write_private(path, content.hex().encode())
    world.keys = Keys.load(tmp_path / "keys" / "master.key")
    world.spine(*range(len(RECORDED)))
    patients, entries = [], []
    for child, (events, _) in enumerate(RECORDED):
        hashed = hmac.new(key, NHS[child].encode(), hashlib.sha256).hexdigest()
        born = _born(child)
        patients += [
            {"patient_id": f"{place}{child}", "nhs_number_hash": hashed, "sex_code": "female"}
            | {"birth_year": born.year, "birth_month_number": born.month}
            for place in "ab"
        ]
        entries += [
            {"observation_id": f"{child} {n}", "patient_id": f"a{child}", "snomed_code": code}
            | {"effective_date": day and dt.date.fromisoformat(day), "is_deleted": is_deleted}
            for n, (code, day, is_deleted) in enumerate(events)
        ]
    world.put("gp_olids", "patient", patients)
    world.put("gp_olids", "observation", entries)
    world.type_1()
    world.records(TYPE_1)
    left = world.con.execute(
        "SELECT nhs, count(*) FROM linkage.main.person_record JOIN linkage.main.source"
        " USING (source) WHERE feed = 'gp_olids' GROUP BY ALL"
    ).fetchall()
    tokens = Encoder(world.keys).tokens("nhs", pl.Series(NHS[: len(RECORDED)])).tolist()
    kept = {token for token, (_, is_out) in zip(tokens, RECORDED, strict=True) if not is_out}
    assert dict(left) == dict.fromkeys(kept, 2)


def test_a_type_1_opt_out_takes_nothing_from_feeds_beyond_its_scope(world: World) -> None:
    world.spine(0)
    world.hospital(0)
    world.type_1((NHS[0], DISSENT, "2020-01-01"))
    world.records(TYPE_1)
    assert world.linked("pds_demographics") == {0}
    assert world.linked("sus_apc") == set()


# --- objections made here -----------------------------------------------------------------------


def everybody(world: World, children: int = 5) -> None:
    """Children in four feeds; name, birth date and numbers lead from each to the next."""
    world.spine(*range(children))
    world.put(
        "pds_demographics",
        "address",
        [{"nhs_number": NHS[child], "postcode": f"NW{child + 1} 5AB"} for child in range(children)],
    )
    world.hospital(*range(children))
    world.school(*range(children))
    world.care(*range(children))


FEEDS = ("pds_demographics", "sus_apc", "school_census", "ssda903")
OBJECTIONS: tuple[dict[str, Any], ...] = (  # of child 0, 1, 2 ...
    {"scheme_code": "nhs", "subject_reference": NHS[0]},
    {"scheme_code": "NHS ", "subject_reference": f"{NHS[1][:3]} {NHS[1][3:6]} {NHS[1][6:]}"},
    {"scheme_code": "upn", "subject_reference": UPN[2].lower()},
    {"scheme_code": "la_child", "subject_reference": " c3", "authority_name": "Ashmere"},
    {"scheme_code": "nhs", "subject_reference": NHS[4], "scope_code": None},
    {"scheme_code": "nhs", "subject_reference": NHS[5], "scope_code": "all"},
    {"scheme_code": "upn", "subject_reference": UPN[6], "withdrawn_date": dt.date(2024, 1, 1)},
    # and these do not stand
    {"scheme_code": "nhs", "subject_reference": NHS[7], "scope_code": "direct_care"},
    {"scheme_code": "nhs", "subject_reference": NHS[8], "withdrawn_date": dt.date(2024, 6, 1)},
)


def test_an_objection_takes_out_everything_that_is_found_of_the_person(world: World) -> None:
    everybody(world, 12)
    world.object(*OBJECTIONS)
    world.link(OBJECTION)
    persons = world.persons()
    assert {feed: set(persons[feed]) for feed in FEEDS} == {
        feed: set(range(7, 12)) for feed in FEEDS
    }
    known = world.con.execute("SELECT feed, opt_out FROM warehouse.linkage.opted_out").fetchall()
    assert sorted(known) == [(f, "local_objection") for f in sorted(FEEDS) for _ in range(7)]
    (left,) = [r for r in opt_out_table(world.con).rows if r[0] == "local_objection"]
    assert left[1] is True
    assert left[6] == 30  # 28, rounded


def test_a_withdrawal_on_a_later_list_ends_the_objection_of_an_earlier_one(world: World) -> None:
    world.school(0, 1, 2)
    row = {"scheme_code": "upn", "subject_reference": UPN[0]}
    world.object(row, row | {"subject_reference": UPN[1]}, period="2025-03-15")
    world.object(row | {"withdrawn_date": dt.date(2025, 4, 1)}, period="2025-04-15")
    world.records(OBJECTION)
    assert world.objectors() == {1}


@pytest.mark.parametrize(
    "row",
    [
        {"scheme_code": "nhs", "subject_reference": NHS[0][:-1]},
        {"scheme_code": "upn", "subject_reference": "UN1"},
        {"scheme_code": "passport", "subject_reference": NHS[0]},
        {"scheme_code": "la_child", "subject_reference": "C0", "authority_name": "nowhere"},
        {"scheme_code": "la_child", "subject_reference": "C0"},  # of whoever sent the list
    ],
    ids=lambda row: f"{row['scheme_code']}-{row.get('authority_name', '')}",
)
def test_an_objection_that_names_nobody_stops_the_build(world: World, row: dict[str, Any]) -> None:
    world.school(0)
    world.object(row, supplier="linked_data_service")
    with pytest.raises(LinkedCypError, match="1 objections") as refused:
        world.records(OBJECTION)
    assert row["subject_reference"] not in str(refused.value)
    assert refused.value.__cause__ is refused.value.__context__ is None


@pytest.mark.parametrize("held", ["00101", "101", "101.0", "c-101"])
@pytest.mark.parametrize("said", ["101", "00101", " 101.0 ", "C101"])
def test_an_authoritys_number_objects_in_any_spelling(world: World, held: str, said: str) -> None:
    world.put(
        "ssda903",
        "header",
        [
            {"child_id": number, "birth_date": _born(child), "sex_code": "F"}
            for child, number in enumerate((held, "1101"))
        ],
    )
    row = {"scheme_code": "la_child", "subject_reference": said, "authority_name": "ashmere"}
    world.object(row)
    counts = world.records(OBJECTION)
    same = held.lower().startswith("c") == said.lower().startswith("c")
    assert world.objectors() == ({0} if same else set())
    assert counts["objections that name nobody known"] == (0 if same else 1)
    outcomes = run_rules(world.con, "linkage.main.person_record", person_record_rules())
    (told,) = [o.passed for o in outcomes if o.name == "objections__name_somebody"]
    assert told is same


@pytest.mark.parametrize("column", ["consent_93c1", "national_data_opted_in"])
def test_a_flag_that_says_no_of_a_number_that_cannot_be_read_stops_the_build(
    world: World, column: str
) -> None:
    """A spreadsheet has written the number as 9.99E+09. Whoever consents may be unreadable."""
    world.hospital(0, 1)
    world.remain(*NHS[:2])
    world.type_1()
    said = [(NHS[1], "TRUE"), ("9.99E+09", "FALSE"), ("9.98E+09", "TRUE"), ("9.97E+09", "n/k")]
    flags = [{"nhs_number": number, column: flag} for number, flag in said]
    world.put("type1_opt_out", "gp_flag", flags, supplier="icb")
    with pytest.raises(LinkedCypError, match=f"2 flags of {column}") as refused:
        world.records(BOTH_NHS)
    assert [n for n in range(1, 5) if f"file 0 row {n}" in str(refused.value)] == [2, 4]
    assert "9.9" not in str(refused.value)


def test_who_objects_later_is_gone_and_everybody_elses_id_stays(world: World) -> None:
    everybody(world)
    world.remain(*NHS[:5])
    both = policy(
        national_data_opt_out=Rule(MAX_AGE_DAYS["national_data_opt_out"]),
        local_objection=Rule(MAX_AGE_DAYS["local_objection"]),
    )
    world.object()
    world.link(both)
    before = world.persons()
    one = {"scheme_code": "la_child", "subject_reference": "C2", "authority_name": "ashmere"}
    world.object(one, period="2025-04-16")
    world.remain(*NHS[:1], *NHS[2:5], period="2025-04-16")  # child 1 opted out nationally
    world.link(both)
    after = world.persons()
    stay = {"pds_demographics": {0, 3, 4}, "sus_apc": {0, 3, 4}}
    stay |= {"school_census": {0, 1, 3, 4}, "ssda903": {0, 1, 3, 4}}
    assert {feed: set(after[feed]) for feed in FEEDS} == stay
    for feed, children in stay.items():
        assert {c: before[feed][c] for c in children} == after[feed]
    # and who withdraws is the same person again
    world.object(one | {"withdrawn_date": dt.date(2025, 4, 17)}, period="2025-04-17")
    world.remain(*NHS[:5], period="2025-04-17")
    world.link(both)
    assert world.persons() == before


def test_a_list_that_was_withdrawn_opts_nobody_out(world: World) -> None:
    world.school(0, 1)
    row = {"scheme_code": "upn", "subject_reference": UPN[0]}
    world.object(row, period="2025-04-14")
    world.object(period="2025-04-15")
    (delivery,) = world.con.execute(
        "SELECT delivery_id FROM identifiable.ledger.current WHERE period = '2025-04-14'"
    ).fetchone() or ("",)
    world.con.execute(f"INSERT INTO {ledger.WITHDRAWAL} (delivery_id) VALUES (?)", [delivery])
    world.records(OBJECTION)
    assert world.objectors() == set()


# --- the release gate ---------------------------------------------------------------------------


def test_a_release_needs_lists_that_are_fresh_on_its_own_day(world: World) -> None:
    world.spine(0)
    world.remain(NHS[0])
    world.link(NATIONAL)

    def reasons(day: dt.date, given: Policy | None = None) -> list[str]:
        return [r for r in gate(world.con, given, day) if "opt_out" in r]

    assert reasons(dt.date(2025, 5, 6)) == []
    late = "the list of national_data_opt_out is of 2025-04-15, more than 21 days ago"
    assert reasons(dt.date(2025, 5, 7)) == [f"{late}: ask again and link again"]
    longer = policy(national_data_opt_out=Rule(60, because=REASON))
    assert reasons(dt.date(2025, 5, 7), longer) == []
    assert (
        len(
            reasons(dt.date(2025, 5, 6), Policy({**longer.rules, "national_data_opt_out": Rule(7)}))
        )
        == 1
    )

    world.con.execute("DROP TABLE warehouse.linkage.opt_out")
    assert reasons(TODAY) == []
    assert "the bridge does not say which opt-outs were applied: link again" in gate(world.con)
