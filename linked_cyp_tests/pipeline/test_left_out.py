"""Every accepted row is in a curated table or counted in ``provenance.left_out``, feed by feed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from linked_cyp.contracts.model import Contract
from linked_cyp.curated import left_out
from linked_cyp.curated.left_out_rules import REASONS, RULES
from linked_cyp.release.record import left_out_table


@pytest.fixture(scope="module")
def counted(
    built: Path, contracts: dict[str, Contract], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[str], dict]]:
    """A copy of the hand-worked warehouse in which the rows left out are counted."""
    path = tmp_path_factory.mktemp("left_out") / "warehouse.duckdb"
    shutil.copy(built / "warehouse.duckdb", path)
    manifest = json.loads((built / "target" / "manifest.json").read_text())
    with duckdb.connect(":memory:") as con:
        con.execute(f"ATTACH '{path}' AS warehouse")
        yield con, left_out.count(con, contracts.values(), manifest), manifest


def delivered(con: duckdb.DuckDBPyConnection, contract: Contract) -> dict[str, int]:
    return {
        name: con.execute(
            f"SELECT count(*) FROM warehouse.pseudonymised.{table.table_name}"
        ).fetchall()[0][0]
        for name, table in contract.tables.items()
    }


def left(con: duckdb.DuckDBPyConnection, feed: str) -> dict[str, int]:
    return dict(
        con.execute(
            f"SELECT table_name, sum(rows)::INTEGER FROM {left_out.LEFT_OUT} WHERE feed = ?"
            " GROUP BY 1",
            [feed],
        ).fetchall()
    )


def test_nothing_differs(counted) -> None:
    assert counted[1] == []


@pytest.mark.parametrize("rule", [r for r in RULES if r.made], ids=lambda r: f"{r.feed}.{r.tables}")
def test_the_rows_of_a_table_are_curated_or_left_out(counted, contracts, rule) -> None:
    con = counted[0]
    rows, gone = delivered(con, contracts[rule.feed]), left(con, rule.feed)
    ((made,),) = con.execute(f"SELECT count(*) FROM warehouse.{rule.made}").fetchall()
    assert sum(rows[t] for t in rule.tables) == made + sum(gone.get(t, 0) for t in rule.tables)


def test_no_more_rows_of_any_feed_are_left_out_than_came(counted, contracts) -> None:
    con = counted[0]
    for feed, contract in contracts.items():
        rows, gone = delivered(con, contract), left(con, feed)
        assert all(gone.get(table, 0) <= count for table, count in rows.items()), feed
        assert set(gone) <= set(rows)


def test_every_reason_is_explained(counted) -> None:
    found = counted[0].execute(f"SELECT DISTINCT reason FROM {left_out.LEFT_OUT}").fetchall()
    assert {reason for (reason,) in found} <= set(REASONS)
    assert len(found) >= 10


def test_a_curated_row_lost_is_noticed(counted, contracts) -> None:
    """The guard shown: a model that loses a row without a reason no longer adds up."""
    con, _, manifest = counted
    con.execute("BEGIN")
    con.execute(
        "DELETE FROM warehouse.curated.cin_referral WHERE rowid ="
        " (SELECT min(rowid) FROM warehouse.curated.cin_referral)"
    )
    feed = contracts["cin_census"]
    wrong = list(left_out._of_feed(con, feed, left_out._read(manifest)))
    con.execute("ROLLBACK")
    assert wrong == ["cin_census.cin_details"]


def test_a_release_shows_no_small_count(counted) -> None:
    con = counted[0]
    exact = con.execute(f"SELECT rows FROM {left_out.LEFT_OUT}").fetchall()
    assert any(0 < n < 10 for (n,) in exact)
    shown = [row[-1] for row in left_out_table(con).rows]
    assert len(shown) == len(exact)
    assert all(n is None or (n >= 10 and n % 5 == 0) for n in shown)
