"""Type 1 opt-outs: flags of practice systems, dissents and their withdrawals."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from pathlib import Path

import polars as pl
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity import pseudonym_keys
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp_tests.encoded_support import MASTER
from linked_cyp_tests.unit.opt_outs.world import NATIONAL, NHS, TYPE_1, World, _born

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
