"""What one table or column says is believed only as far as the others of the delivery bear it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.ingest.deliveries import DeliveryOutcome
from linked_cyp_tests.deliveries_support import column, contract, land, memory_store, table, take

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")
CHILD = replace(
    table(
        "child",
        column("child_id", physical_name="CHILD2ID", required=True, primary_key_position=1),
        replace(column("born", "date"), linkage_role="birth_date"),
        column("upn_like"),
        required=True,
    ),
    person_key=(("child_id",),),
)
VISIT = replace(
    table("visit", column("child_id", required=True), column("seen", "date"), column("note")),
    person_key=(("child_id",),),
)
FEED = replace(contract(CHILD, VISIT, share=0.05), max_lost_share=None)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory_store() as connection:
        yield connection


def deliver(
    con: duckdb.DuckDBPyConnection,
    root: Path,
    children: list[str],
    visits: list[str] | None = None,
    name: str = "2025",
    feed: Contract = FEED,
) -> DeliveryOutcome:
    files = {"child.csv": "\n".join(["CHILD2ID,BORN,UPN_LIKE", *children, ""])}
    if visits is not None:
        files["visit.csv"] = "\n".join(["CHILD_ID,SEEN,NOTE", *visits, ""])
    return take(con, feed, land(root, files, name=name))


CHILDREN = [f"C{n},{13 + n}/05/2012,A{n}" for n in range(10)]


@pytest.mark.parametrize(
    "line",
    [
        "varchar,date,varchar",
        "varchar(10),datetime2(7),nvarchar(max)",
        "int8,timestamp,object",
        "--------,----,---------",
        "CHILD2ID,BORN,UPN_LIKE",
    ],
)
@pytest.mark.parametrize("place", [0, 1, 10])
def test_a_line_of_types_or_names_is_no_row(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, line: str, place: int
) -> None:
    rows = [*CHILDREN[:place], line, *CHILDREN[place:]]
    outcome = deliver(con, tmp_path, rows)
    assert (outcome.status, outcome.table("child").accepted) == ("accepted", 10)
    assert con.execute("SELECT count(*) FROM identifiable.raw.toy__child").fetchone() == (10,)


@pytest.mark.parametrize(("prefix", "status"), [("", "accepted"), ("X", "rejected")])
def test_children_of_a_table_are_in_the_required_one_though_no_contract_says_so(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, prefix: str, status: str
) -> None:
    visits = [f"{prefix}C{n},{13 + n}/06/2024,x" for n in range(10)]
    outcome = deliver(con, tmp_path, CHILDREN, visits)
    assert outcome.status == status
    if status == "rejected":
        assert "10 of 10 values of visit.child_id (CHILD_ID) have no row in child" in (
            outcome.reason or ""
        )


def test_dates_that_fit_both_ways_are_read_as_those_of_the_other_tables(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    born = [f"C{n},05/{13 + n}/2012,A{n}" for n in range(10)]
    visits = [f"C{n},{3 + n % 2:02}/{1 + n:02}/2024,x" for n in range(10)]
    assert deliver(con, tmp_path, born, visits).status == "accepted"
    months = con.execute("SELECT DISTINCT month(seen) FROM identifiable.raw.toy__visit").fetchall()
    assert {month for (month,) in months} == {3, 4}


@pytest.mark.parametrize(("had", "status"), [(6, "rejected"), (2, "accepted")])
def test_a_column_of_a_small_table_that_went_is_missed_unless_chance_explains_it(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, had: int, status: str
) -> None:
    before = [f"C{n},{13 + n}/05/2012,{f'A{n}' if n < had else ''}" for n in range(8)]
    assert deliver(con, tmp_path, before, name="2024").status == "accepted"
    outcome = deliver(con, tmp_path, [f"C{n},{13 + n}/05/2012," for n in range(8)])
    assert outcome.status == status
    assert status == "accepted" or "child.upn_like" in (outcome.reason or "")


BABIES = "record_id_mother\trecord_id_baby\tyearofbirthbaby\tbabyfirstfeedbreastmilkstatus\n"


@pytest.mark.parametrize(
    ("folder", "feed", "said"),
    [
        ("2019", "01", None),
        ("2017", "01", "rows are of another year than the folder 2017"),
        ("2019", "1", "maternity_record.first_feed_breast_milk_status"),
    ],
)
def test_babies_are_born_in_the_year_of_the_folder_and_codes_keep_their_zero(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, folder: str, feed: str, said: str | None
) -> None:
    rows = "".join(f"M{n}1\tB{n}1\t{2018 + n % 2}\t{feed}\n" for n in range(9))
    place = land(tmp_path, {"v1_5_flat.txt": BABIES + rows}, feed="msds", name=folder)
    reason = take(con, CONTRACTS["msds"], place).reason or ""
    assert (said or "") in reason
    assert said or ("folder" not in reason and "breast_milk" not in reason)
