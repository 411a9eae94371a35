"""A delivery is held against its folder, and against the size of what came before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.ingest import ledger, periods
from linked_cyp.ingest.deliveries import DeliveryOutcome
from linked_cyp_tests.deliveries_support import column, contract, land, memory_store, table, take

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")
PUPIL = replace(
    table(
        "pupil",
        column("pupil_id", required=True, primary_key_position=1),
        column("seen_date", "date"),
        required=True,
    ),
    person_key=(("pupil_id",),),
)
DETAIL = table("detail", column("pupil_id"), column("note"))
FEED = contract(PUPIL, DETAIL)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory_store() as connection:
        yield connection


def deliver(
    con: duckdb.DuckDBPyConnection,
    root: Path,
    name: str,
    rows: int,
    *,
    details: int = 30,
    supplier: str = "brent",
    feed: Contract = FEED,
) -> DeliveryOutcome:
    year = int(name[:4])
    pupils = "".join(f"{n},{10 + n % 9}/02/{year}\n" for n in range(rows))
    files = {"pupil.csv": "PUPIL_ID,SEEN_DATE\n" + pupils}
    if details:
        files["detail.csv"] = "PUPIL_ID,NOTE\n" + "".join(f"{n},x\n" for n in range(details))
    return take(con, feed, land(root, files, name=name, supplier=supplier))


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [(260, None), (200, None), (400, None), (13, "few"), (130, "few"), (0, "few"), (520, "many")],
)
def test_a_table_is_as_large_as_in_the_suppliers_other_years(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, rows: int, wrong: str | None
) -> None:
    for year, before in (("2022", 240), ("2023", 254), ("2024", 260)):
        assert deliver(con, tmp_path, year, before).status == "accepted"
    outcome = deliver(con, tmp_path, "2025", rows)
    if wrong is None:
        assert (outcome.status, outcome.reason) == ("accepted", None)
    else:
        assert outcome.status == "rejected"
        assert f"pupil has {rows} rows, and 254 in its own" in (outcome.reason or "")
        assert f"too {wrong}" in (outcome.reason or "")


def test_small_tables_vary_and_details_are_missed_only_when_there_are_none(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert deliver(con, tmp_path, "2024", 12, details=90).status == "accepted"
    assert deliver(con, tmp_path, "2025", 3, details=2).status == "accepted"
    gone = deliver(con, tmp_path, "2026", 12, details=0)
    assert "detail has 0 rows" in (gone.reason or "")


def test_a_first_delivery_is_held_against_the_others_of_its_period(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    for supplier in ("one", "two", "three"):
        assert deliver(con, tmp_path, "2025", 3000, supplier=supplier).status == "accepted"
    assert deliver(con, tmp_path, "2025", 200, supplier="small").status == "accepted"
    cut = deliver(con, tmp_path, "2025", 30, supplier="cut")
    assert "other suppliers' other deliveries" in (cut.reason or "")


def test_what_the_operator_says_is_right_is_taken_and_written_down(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    deliver(con, tmp_path, "2024", 260)
    small = deliver(con, tmp_path, "2025", 13)
    assert small.status == "rejected"
    ledger.allow_worse(con, small.delivery_id, "two schools have left the authority")
    assert deliver(con, tmp_path, "2025", 13).status == "accepted"
    (said,) = con.execute(f"SELECT reason FROM {ledger.WORSE_ALLOWED}").fetchall()
    assert said == ("two schools have left the authority",)


def test_the_limits_are_the_contracts(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    wide = replace(FEED, volume_limits={"least": 0.01})
    deliver(con, tmp_path, "2024", 260, feed=wide)
    assert deliver(con, tmp_path, "2025", 13, feed=wide).status == "accepted"


SCHOOLS = (
    "schoolcensustableid,NativeId,schoolcensusorderseqcolumn,sourceid,name,collection,term,year,"
    "referencedate,serialno,sourcelevel,lea,estab,urn,softwarecode,release,xversion,datetime\n"
    "8a776f64,9912001,1,75303b47,School Census,SC,{},{},{},1,L,991,2001,990001,S,1,,\n"
)


@pytest.mark.parametrize(
    ("term", "year", "day", "wrong"),
    [
        ("AUT", "2024", "2024-Oct-03 00:00:00", None),
        ("SPR", "2024", "2024-Oct-03 00:00:00", "term"),
        ("AUT", "2022", "2024-Oct-03 00:00:00", "year"),
        ("AUT", "2024", "2023-Oct-03 00:00:00", "day"),
    ],
)
def test_what_a_return_says_of_itself_is_held_against_the_folder(
    con: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    term: str,
    year: str,
    day: str,
    wrong: str | None,
) -> None:
    files = {"schoolcensus.csv": SCHOOLS.format(term, year, day)}
    folder = land(tmp_path, files, feed="school_census", name="2024-autumn")
    reason = take(con, CONTRACTS["school_census"], folder).reason or ""
    said = [r for r in ("term", "year", "day") if f"of another {r} than the folder" in reason]
    assert said == ([wrong] if wrong else [])


def test_a_file_named_for_another_term_is_named(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    files = {"2025_spring_schoolcensus.csv": SCHOOLS.format("AUT", "2024", "2024-Oct-03 00:00:00")}
    folder = land(tmp_path, files, feed="school_census", name="2024-autumn")
    reason = take(con, CONTRACTS["school_census"], folder).reason or ""
    assert "file 0 is named for another term than the folder 2024-autumn" in reason


@pytest.mark.parametrize("name", ["2023", "2028"])
def test_days_of_another_year_than_the_folders_are_refused(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str
) -> None:
    days = "".join(f"{n},{1 + n % 28}/02/2025\n" for n in range(40))
    files = {"pupil.csv": "PUPIL_ID,SEEN_DATE\n" + days}
    reason = take(con, FEED, land(tmp_path, files, name=name)).reason or ""
    # days long after the period cannot be read as days of it
    assert f"the period of the folder {name}" in reason or "pupil.seen_date" in reason
    assert take(con, FEED, land(tmp_path, files, name="2025")).status == "accepted"


@pytest.mark.parametrize("feed", CONTRACTS)
def test_every_feeds_periods_have_a_first_and_a_last_day(feed: str) -> None:
    kind = CONTRACTS[feed].period_kind
    written = {"academic_term": "2025-spring", "month": "2025-12", "snapshot": "2025-03-31"}
    first, last = periods.span(CONTRACTS[feed], written.get(kind, "2025"))
    assert first < last
