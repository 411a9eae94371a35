"""Who was in the delivery before is the same person in this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from linked_cyp.contracts.model import Code, Codeset
from linked_cyp.ingest import ledger
from linked_cyp.ingest.deliveries import DeliveryOutcome
from linked_cyp_tests.deliveries_support import column, contract, land, memory_store, table, take

SEX = Codeset(
    "sex",
    tuple(Code(c, n) for c, n in (("1", "Male"), ("2", "Female"), ("M", "Male"), ("F", "Female"))),
)
CHILD = replace(
    table(
        "child",
        column("child_id", required=True, primary_key_position=1),
        replace(column("forename"), linkage_role="forename"),
        replace(column("surname"), linkage_role="surname"),
        replace(column("born", "date", required=True), linkage_role="birth_date"),
        replace(column("sex", codeset=SEX), linkage_role="sex"),
        column("height", "number", minimum=20, maximum=250),
        required=True,
    ),
    person_key=(("child_id",),),
)
FEED = replace(contract(CHILD), max_lost_share=None)
BOYS, GIRLS = ("Adam", "Ben", "Carl", "Dan"), ("Eve", "Fay", "Gill", "Hana")
SURNAMES = ("Ash", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gorse")
Row = list[str]


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory_store() as connection:
        yield connection


def children() -> list[Row]:
    made = []
    for n in range(40):
        names = BOYS if n % 2 else GIRLS
        born, sex = f"{1 + n % 28:02}/{1 + n % 12:02}/2012", "M" if n % 2 else "F"
        made.append([f"C{n}", names[n // 2 % 4], SURNAMES[n % 7], born, sex, f"{100 + n}"])
    return made


def deliver(
    con: duckdb.DuckDBPyConnection, root: Path, rows: list[Row], name: str = "2025"
) -> DeliveryOutcome:
    lines = ["CHILD_ID,FORENAME,SURNAME,BORN,SEX,HEIGHT", *(",".join(row) for row in rows)]
    return take(con, FEED, land(root, {"child.csv": "\n".join([*lines, ""])}, name=name))


def each(place: int, change: Callable[[str], str]) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [[*r[:place], change(r[place]), *r[place + 1 :]] for r in rows]


def moved(place: int) -> Callable[[list[Row]], list[Row]]:
    """A column from the second row on holds what the row above held."""

    def change(rows: list[Row]) -> list[Row]:
        above = [rows[-1], *rows[:-1]]
        return [[*r[:place], a[place], *r[place + 1 :]] for r, a in zip(rows, above, strict=True)]

    return change


BEFORE = {
    "birth dates moved": (moved(3), "child.born"),
    "sexes inverted": (each(4, lambda sex: "F" if sex == "M" else "M"), "child.sex"),
    "sexes inverted in other codes": (each(4, lambda sex: "2" if sex == "M" else "1"), "child.sex"),
    "forenames moved": (moved(1), "child.forename"),
}


@pytest.mark.parametrize(("change", "named"), BEFORE.values(), ids=BEFORE)
def test_a_column_that_says_something_else_of_those_who_were_there_is_refused(
    con: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    change: Callable[[list[Row]], list[Row]],
    named: str,
) -> None:
    assert deliver(con, tmp_path, children(), "2024").status == "accepted"
    outcome = deliver(con, tmp_path, change(children()))
    assert named in (outcome.reason or "")
    assert "of 40 who were in this supplier's earlier delivery" in (outcome.reason or "")
    ledger.allow_worse(con, outcome.delivery_id, "the earlier one was wrong")
    assert deliver(con, tmp_path, change(children())).status == "accepted"


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows,
        each(4, lambda sex: "1" if sex == "M" else "2"),  # other codes of the same
        each(1, str.upper),
        lambda rows: [["N" + r[0], *r[1:]] for r in moved(3)(rows)],  # other people
        lambda rows: [*moved(3)(rows[:6]), *rows[6:]],  # a few corrections
    ],
)
def test_corrections_other_people_and_other_codes_are_taken(
    con: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    change: Callable[[list[Row]], list[Row]],
) -> None:
    assert deliver(con, tmp_path, children(), "2024").status == "accepted"
    outcome = deliver(con, tmp_path, change(children()))
    assert (outcome.status, outcome.reason) == ("accepted", None)


def shifted(rows: list[Row]) -> list[Row]:
    first, *rest = moved(3)(rows)
    return [[*first[:3], "", *first[4:]], *rest]


FIRST = {
    "one birth date": (each(3, lambda _: "03/04/2012"), "child.born (BORN) is the same in all 40"),
    "moved a row down": (shifted, "child.born (BORN) is blank in the first row and in no other"),
    "letters for names": (each(1, lambda name: name[0]), "child.forename (FORENAME) is one letter"),
    "names swapped": (
        lambda rows: [[r[0], r[2], r[1], *r[3:]] for r in rows],
        "child.forename (FORENAME) holds surnames",
    ),
    "metres": (each(5, lambda cm: str(int(cm) / 100)), "child.height (HEIGHT): 40 of 40 numbers"),
    "below nothing": (each(5, lambda cm: f"-{cm}"), "child.height (HEIGHT): 40 of 40 numbers"),
}


@pytest.mark.parametrize(("change", "said"), FIRST.values(), ids=FIRST)
def test_what_a_first_delivery_says_of_itself(
    con: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    change: Callable[[list[Row]], list[Row]],
    said: str,
) -> None:
    outcome = deliver(con, tmp_path, change(children()))
    assert outcome.status == "rejected"
    assert said in (outcome.reason or "")
