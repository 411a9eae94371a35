"""Encoded deliveries at the centre: refused unless everything in them is as it should be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from linked_cyp.contracts.facts import Excludes
from linked_cyp.contracts.model import Contract
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.expectations import run_rules
from linked_cyp.identity.keys import Keys
from linked_cyp.ingest import deliveries, ledger
from linked_cyp.ingest.encoded import compatibility, received
from linked_cyp.ingest.encoded.statement import Problem, Statement
from linked_cyp.ingest.landing import STATEMENT, identify
from linked_cyp.ingest.ledger import ARCHIVE, REJECTED
from linked_cyp.linkage import build_person_records
from linked_cyp.linkage.records.checks import person_record_rules
from linked_cyp.pseudonymise import erasure
from linked_cyp.supplier.encode import encode
from linked_cyp_tests.encoded_support import (
    CENSUS,
    CONTRACTS,
    POSTCODES,
    Centre,
    centre,
    encoded,
    forge,
    keys_of,
    planted,
    relist,
)
from linked_cyp_tests.support import NOT_ASKED, with_exclusion

PAYLOAD = "school_census__pupil_on_roll"
SECRET = "QUILLFEATHRBADA"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("encoded")
    folder, _ = planted(root / "clear")
    return encoded(folder, root / "out").folder


@pytest.fixture
def sent(made: Path, tmp_path: Path) -> Path:
    """A copy of an encoded delivery, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "landing" / made.relative_to(made.parents[2])))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    made = centre(tmp_path_factory.mktemp("centre") / "home")
    with made.open():
        yield made


def refusal(here: Centre, folder: Path) -> str:
    """Why a delivery is refused; nothing of it may be stored, and nothing of it be said."""
    outcome = here.take(folder)
    assert outcome.status == "rejected"
    assert (outcome.received, outcome.accepted, outcome.quarantined) == (0, 0, 0)
    reason = outcome.reason or ""
    assert SECRET not in reason.upper()
    assert "\n" not in reason
    with here.open() as con:
        for name in received.stored_tables(con):
            held = con.execute(
                f"SELECT count(*) FROM {received.table(name)} WHERE delivery_id = ?",
                [outcome.delivery_id],
            ).fetchall()
            assert held == [(0,)]
    return reason


def test_a_genuine_delivery_is_accepted_with_the_suppliers_counts(here: Centre, made: Path) -> None:
    outcome = here.take(made)
    assert outcome.status == "accepted"
    assert outcome.is_encoded
    assert outcome.received == outcome.accepted + outcome.quarantined
    assert outcome.quarantined > 0  # the planted return has spoilt rows
    with here.open() as con:
        told = con.execute(
            f"SELECT sum(rows), count(record), count(row_number) FROM {REJECTED}"
            " WHERE delivery_id = ?",
            [outcome.delivery_id],
        ).fetchall()
        raw = con.execute("SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'raw'")
        assert raw.fetchall() == [(0,)]
    assert told == [(outcome.quarantined, 0, 0)]
    assert here.take(made).is_repeat


def test_a_changed_statement_breaks_its_seal(here: Centre, sent: Path) -> None:
    said = json.loads((sent / STATEMENT).read_text())
    said["people"] += 1
    (sent / STATEMENT).write_text(json.dumps(said))
    relist(sent)
    assert "seal" in refusal(here, sent)


def test_a_changed_file_is_noticed(here: Centre, sent: Path) -> None:
    path = sent / f"{PAYLOAD}.parquet"
    path.write_bytes(path.read_bytes() + b"\0")
    assert "sha256 in the manifest" in refusal(here, sent)
    relist(sent)
    assert "changed after" in refusal(here, sent)


def test_another_key_contract_or_version_is_refused(
    sent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = centre(tmp_path / "home")
    stranger = Centre(here.stores, Keys(compatibility.PUBLISHED_KEY))
    assert "another key" in refusal(stranger, sent)
    monkeypatch.setattr(compatibility, "encoding_version", lambda: "0" * 16)
    assert "linked-cyp version" in refusal(here, sent)
    monkeypatch.undo()
    landed = identify(sent, {CENSUS.feed: CENSUS})
    work = here.stores.settings.work
    for contract, reason in (
        (replace(CENSUS, version="9.0.0"), "another version of the school_census contract"),
        (replace(CENSUS, delimiter=";"), "contract is not ours"),
    ):
        with here.open() as con:
            outcome = deliveries.ingest(con, contract, landed, work, keys=here.keys)
        assert outcome.status == "rejected"
        assert reason in (outcome.reason or "")
    # What was refused may be acceptable by now.
    assert here.take(sent).status == "accepted"


def test_without_keys_nothing_is_believed(here: Centre, made: Path, tmp_path: Path) -> None:
    landed = identify(made, {CENSUS.feed: CENSUS}, supplier="brent")
    with here.open() as con, pytest.raises(LinkedCypError, match="none were given"):
        deliveries.ingest(con, CENSUS, landed, tmp_path)


def test_a_delivery_under_another_suppliers_name_is_refused(here: Centre, sent: Path) -> None:
    landed = identify(sent, {CENSUS.feed: CENSUS}, supplier="brent")
    work = here.stores.settings.work
    with here.open() as con:
        outcome = deliveries.ingest(con, CENSUS, landed, work, keys=here.keys)
    assert outcome.status == "rejected"
    assert "another supplier" in (outcome.reason or "")


# Somebody who holds the key, by malice or by mistake: (file, what is done to it, the reason).
FORGED = {
    "a column more": (
        PAYLOAD,
        lambda f: f.with_columns(pl.lit(SECRET).alias("remarks")),
        "1 columns that are not declared",
    ),
    "a column less": (PAYLOAD, lambda f: f.drop("sex_code"), "lacks sex_code"),
    "text for a token": (
        PAYLOAD,
        lambda f: f.with_columns(pl.lit(SECRET).alias("school_id")),
        "not of the declared type: school_id",
    ),
    "a name for a code": (
        PAYLOAD,
        lambda f: f.with_columns(pl.lit(SECRET).alias("ethnicity_code")),
        "ethnicity_code",
    ),
    "a name for an area": (
        "school_census__addresses_on_roll",
        lambda f: f.with_columns(pl.lit(SECRET).alias("lsoa21_code")),
        "lsoa21_code",
    ),
    "a day for a month": (
        PAYLOAD,
        lambda f: f.with_columns(pl.col("birth_month").dt.offset_by("12d")),
        "birth_month",
    ),
    "a negative token": (
        PAYLOAD,
        lambda f: f.with_columns(pl.lit(-5).cast(pl.Int64).alias("school_id")),
        "school_id",
    ),
    "an NHS number for a count": (
        PAYLOAD,
        lambda f: f.with_columns(pl.lit(9990000018).cast(pl.Int64).alias("possible_sessions")),
        "possible_sessions",
    ),
    "a row twice": (
        PAYLOAD,
        lambda f: f.with_columns(row_number=pl.lit(1).cast(pl.Int64)),
        "repeat",
    ),
    "a person of no row": (
        "person_record",
        lambda f: f.with_columns(record_key=pl.int_range(1, pl.len() + 1)),
        "in no row of the payload",
    ),
    "bits that do not add up": (
        "person_record",
        lambda f: f.with_columns((pl.col("surname_bits") + 1).cast(pl.Int16)),
        "surname_bits",
    ),
    "an exclusion of its own": (
        "person_record",
        lambda f: f.with_columns(exclusion=pl.lit(SECRET)),
        "exclusion",
    ),
    "no present record": (
        "person_record",
        lambda f: f.with_columns((pl.col("alternative") + 1).cast(pl.Int16)),
        "no present record",
    ),
    "a person of too many numbers": (
        "person_record",
        lambda f: pl.concat([f, f.head(1).with_columns(alternative=pl.lit(25, dtype=pl.Int16))]),
        "alternative",
    ),
    "an alias in words": (
        "identifier_alias",
        lambda f: pl.DataFrame({"identifier": [SECRET], "former": [1], "token": [2]}),
        "identifier",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_who_holds_the_key_cannot_smuggle_values_in(here: Centre, sent: Path, name: str) -> None:
    file, rewrite, reason = FORGED[name]
    forge(sent, None, file, rewrite)
    assert reason in refusal(here, sent)


def shares_of(statement: Statement, **changed: float) -> dict[str, dict[str, float]]:
    """What a statement says of surnames, some of it changed: how rare an agreement is."""
    return {"surname": {**statement.name_agreement["surname"], **changed}}


def test_a_statement_holds_nothing_but_a_statement(here: Centre, sent: Path) -> None:
    problem = Problem("pupil_on_roll", "row", None, "row__blank", 0, 1)
    for change in (
        lambda s: replace(s, problems=(*s.problems, replace(problem, rule=SECRET.lower()))),
        lambda s: replace(s, problems=(*s.problems, replace(problem, column=SECRET.lower()))),
        lambda s: replace(s, name_agreement={"surname": {SECRET: 0.5}}),
        lambda s: replace(s, name_agreement={"surname": {"exact": 50.0}}),
        lambda s: replace(s, name_agreement={"surname": {"exact": 0.5}}),
        lambda s: replace(s, name_agreement=shares_of(s, exact=0.0)),
        lambda s: replace(s, name_agreement=shares_of(s, exact=0.9)),
        lambda s: replace(s, people=s.people + 10**12),
        lambda s: replace(s, checks={**s.checks, "pupil_on_roll": ()}),
    ):
        kept = (sent / STATEMENT).read_bytes()
        forge(sent, change)
        assert refusal(here, sent)
        (sent / STATEMENT).write_bytes(kept)


def test_counts_must_reconcile(here: Centre, sent: Path) -> None:
    def more(statement):
        counts = statement.tables["pupil_on_roll"]
        tables = {**statement.tables, "pupil_on_roll": replace(counts, received=99)}
        return replace(statement, tables=tables)

    forge(sent, more)
    assert "accepted and quarantined" in refusal(here, sent)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "encoded"}', "\0"])
def test_what_is_no_statement_is_refused(here: Centre, sent: Path, content: str) -> None:
    (sent / STATEMENT).write_text(content)
    relist(sent)
    assert STATEMENT in refusal(here, sent)


def test_a_file_more_or_less_is_refused(here: Centre, sent: Path) -> None:
    (sent / "remarks.csv").write_text(SECRET)
    relist(sent)
    assert "exactly the files" in refusal(here, sent)
    (sent / "remarks.csv").unlink()
    (sent / "identifier_alias.parquet").unlink()
    relist(sent)
    assert "exactly the files" in refusal(here, sent)


def test_withdrawn_and_erased_like_any_other(tmp_path: Path, made: Path) -> None:
    here = centre(tmp_path / "home")
    outcome = here.take(made)
    with here.open() as con:
        ledger.withdraw(con, outcome.delivery_id, "sent in error")
    assert erasure.sync(here.stores)["erased"] == 1
    with here.open() as con:
        tables = [received.table(name) for name in received.stored_tables(con)]
        assert len(tables) > 5
        tables += [ARCHIVE, REJECTED, f"warehouse.pseudonymised.{PAYLOAD}"]
        held = {t: con.execute(f"SELECT count(*) FROM {t}").fetchall()[0][0] for t in tables}
        assert not any(held.values())
        status = ledger.outcome(con, outcome.delivery_id)
        assert (status.status, status.received) == ("withdrawn", outcome.received)
    assert here.take(made).status == "withdrawn"


def test_an_encoded_version_supersedes_a_clear_one(tmp_path: Path) -> None:
    here = centre(tmp_path / "home")
    folder, _ = planted(tmp_path / "clear", "ssda903")
    mine = keys_of("ssda903"), POSTCODES, tmp_path / "out"
    newer = encode(folder, CONTRACTS, *mine, version="2")
    # Encoding again gives the same content, and never overwrites.
    ids = {
        identify(made.folder, CONTRACTS).delivery_id
        for made in (newer, encode(folder, CONTRACTS, *mine, version="3"))
    }
    assert len(ids) == 1
    with pytest.raises(LinkedCypError, match="is there already"):
        encode(folder, CONTRACTS, *mine, version="2")
    first, second = here.take(folder), here.take(newer.folder)
    assert (first.status, second.status) == ("accepted", "accepted")
    with here.open() as con:
        assert ledger.current_deliveries(con) == [second.delivery_id]
        assert ledger.outcome(con, first.delivery_id).status == "superseded"
        rows = [
            con.execute(
                "SELECT * EXCLUDE (delivery_id) FROM warehouse.pseudonymised.ssda903__episodes"
                " WHERE delivery_id = ? ORDER BY ALL",
                [outcome.delivery_id],
            ).fetchall()
            for outcome in (first, second)
        ]
    assert rows[0] == rows[1] != []


def test_the_return_that_the_centre_would_refuse_is_not_encoded(tmp_path: Path) -> None:
    folder, _ = planted(tmp_path / "clear")
    for path in folder.iterdir():
        path.write_text("Remarks\nnone\n")
    with pytest.raises(LinkedCypError, match="the centre would refuse"):
        encoded(folder, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    with pytest.raises(LinkedCypError, match="of which there is no contract"):
        encode(folder, {}, keys_of("ssda903"), POSTCODES, tmp_path / "out")


def test_a_delivery_encoded_before_an_exclusion_of_its_feed_fails_a_check(
    here: Centre, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert here.take(made).status == "accepted"

    def failed(contracts: Mapping[str, Contract] = CONTRACTS) -> list[str]:
        with here.open() as con:
            build_person_records(con, contracts, here.keys, opt_outs=NOT_ASKED)
            held = run_rules(con, "linkage.main.person_record", person_record_rules())
        return [o.name for o in held if not o.passed and o.name.startswith("encoded__")]

    assert failed() == []
    added = Excludes(reason="adoption", values=("X",))
    other = with_exclusion(CONTRACTS, "ssda903", "header", "upn", added)
    this = with_exclusion(CONTRACTS, CENSUS.feed, "pupil_on_roll", "surname", added)
    assert compatibility.contract_digest(this[CENSUS.feed]) != compatibility.contract_digest(CENSUS)
    assert failed(other) == []
    assert failed(this) == ["encoded__exclusions_current"]
    monkeypatch.setattr(compatibility, "encoding_version", lambda: "0" * 16)
    assert failed(other) == ["encoded__version_current"]
    assert failed(this) == ["encoded__exclusions_current", "encoded__version_current"]
    with here.open() as con:  # taken before exclusions were kept
        con.execute(f"UPDATE {received.DELIVERY} SET exclusions = NULL")
        assert failed() == ["encoded__exclusions_current", "encoded__version_current"]
