"""A column that is not there, or holds nothing, is never taken as blank without a word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from linked_cyp.ingest import ledger
from linked_cyp.ingest.deliveries import DeliveryOutcome
from linked_cyp.ingest.new import unfinished
from linked_cyp_tests.deliveries_support import column, contract, land, memory_store, table, take

CHILD = replace(
    table(
        "child",
        column("child_id", required=True, primary_key_position=1),
        replace(column("born", "date"), linkage_role="birth_date"),
        replace(column("seen", "date"), critical=True),
        column("note"),
        column("rare"),
        required=True,
    ),
    person_key=(("child_id",),),
)
FEED = replace(contract(CHILD), max_lost_share=None)
NAMES = ("CHILD_ID", "BORN", "SEEN", "NOTE", "RARE")


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory_store() as connection:
        yield connection


def deliver(
    con: duckdb.DuckDBPyConnection,
    root: Path,
    year: str,
    *,
    without: tuple[str, ...] = (),
    blank: dict[str, str] | None = None,
) -> DeliveryOutcome:
    """Forty children; ``blank`` are columns that hold one word throughout."""
    lines = [[name for name in NAMES if name not in without]]
    for n in range(40):
        row = {
            "CHILD_ID": f"C{n}",
            "BORN": f"{1 + n % 28:02d}/05/2012",
            "SEEN": f"01/02/{year}",
            "NOTE": "x" if n % 2 else "",
            "RARE": "y" if n == 3 else "",
            **(blank or {}),
        }
        lines.append([row[name] for name in lines[0]])
    text = "".join(",".join(line) + "\n" for line in lines)
    return take(con, FEED, land(root, {"child.csv": text}, name=year))


@pytest.mark.parametrize("name", ["BORN"])
def test_a_birth_date_that_is_not_there_refuses_the_first_delivery_too(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str
) -> None:
    outcome = deliver(con, tmp_path, "2025", without=(name,))
    assert outcome.status == "rejected"
    assert f"child.{name.lower()} ({name}) is missing" in (outcome.reason or "")


@pytest.mark.parametrize("word", ["", "NULL"])
def test_a_birth_date_that_nobody_has_refuses_the_delivery(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, word: str
) -> None:
    outcome = deliver(con, tmp_path, "2025", blank={"BORN": word})
    assert outcome.status == "rejected"
    assert "child.born" in (outcome.reason or "")


@pytest.mark.parametrize(
    "how", [{"without": ("NOTE",)}, {"blank": {"NOTE": ""}}, {"blank": {"NOTE": "NULL"}}]
)
def test_a_column_that_held_values_last_year_is_missed(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, how: dict
) -> None:
    assert deliver(con, tmp_path, "2024").status == "accepted"
    assert "child.seen (SEEN)" in (deliver(con, tmp_path, "2025", without=("SEEN",)).reason or "")
    outcome = deliver(con, tmp_path, "2025", **how)
    assert outcome.status == "rejected"
    assert "child.note (NOTE)" in (outcome.reason or "")
    assert "read in 50% of the rows" in (outcome.reason or "")
    assert outcome.delivery_id in (outcome.reason or "")  # the command that allows it


def test_a_column_that_held_next_to_nothing_is_not_missed(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    assert deliver(con, tmp_path, "2024").status == "accepted"
    assert deliver(con, tmp_path, "2025", without=("RARE",)).status == "accepted"


def test_of_a_first_delivery_the_missing_columns_are_named(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    first = deliver(con, tmp_path, "2025", without=("NOTE", "RARE"))
    assert first.status == "accepted"
    assert ledger.absent_columns(con, [first.delivery_id]) == {
        first.delivery_id: ["child.note", "child.rare"]
    }


def test_what_is_allowed_is_to_be_taken_again_and_then_no_more(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    deliver(con, tmp_path, "2024")
    refused = deliver(con, tmp_path, "2025", without=("NOTE",))
    left = {d.delivery_id for d in unfinished(con)}
    assert refused.delivery_id not in left
    ledger.allow_worse(con, refused.delivery_id, "the note was given up")
    assert refused.delivery_id in {d.delivery_id for d in unfinished(con)}
    assert deliver(con, tmp_path, "2025", without=("NOTE",)).status == "accepted"


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (("1.23E+09", "1.24E+09", "1.3e+10"), "child.child_id (CHILD_ID): 3 of 30"),
        (("0101", "101"), "child.child_id (CHILD_ID) has ids that differ by leading zeros only"),
        (("101.0", "102.0", "0103"), None),
        (("1E5", "2E+", "E+09"), None),
    ],
)
def test_ids_that_were_rounded_or_would_join_two_children_are_refused(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, ids: tuple[str, ...], said: str | None
) -> None:
    every = [*ids, *(f"C{n}" for n in range(30 - len(ids)))]
    rows = "".join(f"{n},{1 + at:02}/05/2012,01/02/2025,x,\n" for at, n in enumerate(every))
    outcome = take(con, FEED, land(tmp_path, {"child.csv": ",".join(NAMES) + "\n" + rows}))
    assert (outcome.status == "accepted") is (said is None), outcome.reason
    assert said is None or said in (outcome.reason or "")
