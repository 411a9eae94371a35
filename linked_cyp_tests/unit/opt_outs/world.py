"""A few made-up children in every store, for the tests of opt-outs and of real linkage."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import duckdb
import polars as pl

from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.vocabulary import OPT_OUTS
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
from linked_cyp.opt_outs.policy import MAX_AGE_DAYS, Policy, Rule, not_applied
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


def policy(**rules: Rule) -> Policy:
    return Policy({**not_applied(REASON).rules, **rules})


def applied(name: str) -> Policy:
    return policy(**{name: Rule(MAX_AGE_DAYS[name])})


NATIONAL, TYPE_1, OBJECTION = (applied(name) for name in OPT_OUTS)
BOTH_NHS = policy(**{name: Rule(MAX_AGE_DAYS[name]) for name in OPT_OUTS[:2]})
