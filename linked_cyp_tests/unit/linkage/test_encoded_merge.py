"""Encoded person records over a history of deliveries: as if the names had come each time."""

from __future__ import annotations

from typing import Any

import duckdb
import polars as pl
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.person_records import ALTERNATIVES, COLUMNS, DDL, encode, expand
from linked_cyp.ingest.encoded.content import RECORD_COLUMNS
from linked_cyp.linkage.records.encoded import EARLIER_STATES, EncodedPersons
from linked_cyp_tests.encoded_support import MASTER

ENCODER = Encoder(Keys(MASTER.digest()))
ADA: dict[str, Any] = {
    "forename": "ADA",
    "surname": "QUILL",
    "birth_date": "2012-03-04",
    "sex": 2,
    "postcode": "ZE3 9AB",
    "upn": "P801999600001",
}
MOVED = ADA | {"postcode": "ZE3 9BD"}
RENAMED = ADA | {"surname": "FEATHER"}


def identity(**fields: Any) -> pl.DataFrame:
    """One person (key 7) of source 1; lists are alternatives."""
    known = {"record_key": 7, "source": 1, "supplier": 1, **fields}
    texts = ("exclusion", "nhs_number", "upn", "la_child_id", "forename", "surname", "postcode")
    columns = {name: pl.Series([known.get(name)], dtype=pl.String) for name in texts}
    for name in ("record_key", "source", "supplier", "sex"):
        columns[name] = pl.Series([known.get(name)], dtype=pl.Int64)
    columns["birth_date"] = pl.Series([known.get("birth_date")]).cast(pl.String).str.to_date()
    for name in ALTERNATIVES.keys() & known.keys():
        columns[name] = pl.Series([known[name]], dtype=pl.List(pl.String))
    return pl.DataFrame(columns)


def records(identities: pl.DataFrame) -> pl.DataFrame:
    return encode(expand(identities), ENCODER)


def content(frame: pl.DataFrame) -> tuple[tuple, set[tuple]]:
    """The present record, and the others whatever their numbers."""
    columns = [c for c in COLUMNS if c not in ("record_id", "alternative")]
    present = frame.filter(pl.col("alternative") == 0).select(columns).rows()
    others = frame.filter(pl.col("alternative") > 0).select(columns).rows()
    assert len(present) == 1
    assert len(others) == len(set(others))
    return present[0], set(others)


def merged(
    history: list[dict[str, Any]], clear: dict[int, dict[str, Any]], source: int = 1
) -> pl.DataFrame:
    """What becomes of encoded deliveries (oldest first, places 0, 10, ...) and clear ones.

    The first encoded delivery is of ``source``, all others of source 1.
    """
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS identifiable")
        con.execute("CREATE SCHEMA identifiable.encoded")
        columns = ", ".join(f"{name} {kind}" for name, kind in RECORD_COLUMNS.items())
        con.execute(
            f"CREATE TABLE identifiable.encoded.person_record (delivery_id VARCHAR, {columns})"
        )
        con.execute(f"CREATE TEMP TABLE made ({DDL.split(', ', 1)[1]})")
        con.execute("CREATE TEMP TABLE identity_fact (record_key BIGINT, seen BIGINT)")
        for number, fields in enumerate(history):
            con.register("sent", records(identity(**fields)).to_arrow())
            con.execute(
                "INSERT INTO identifiable.encoded.person_record BY NAME"
                f" SELECT 'd{number}' AS delivery_id, * EXCLUDE (source, supplier) FROM sent"
            )
        for place, fields in clear.items():
            con.register("own", records(identity(**fields)).to_arrow())
            con.execute("INSERT INTO made BY NAME SELECT * FROM own")
            con.execute("INSERT INTO identity_fact VALUES (7, ?)", [place * 1_000_000_000 + 3])
        numbers = range(len(history))
        sources = pl.DataFrame(
            {
                "delivery_id": [f"d{n}" for n in numbers],
                "source": [1 if n else source for n in numbers],
                "supplier": [1 for _ in numbers],
                "place": [10 * n for n in numbers],
            }
        )
        EncodedPersons(sources).add_records(con, "made")
        return con.execute("FROM made").pl()


def test_one_delivery_is_taken_as_it_came() -> None:
    ada = ADA | {"other_surnames": ["FEATHER"]}
    assert content(merged([ada], {})) == content(records(identity(**ada)))


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([ADA, ADA], ADA),
        ([ADA, MOVED], MOVED | {"other_postcodes": ["ZE3 9AB"]}),
        ([ADA, RENAMED], RENAMED | {"other_surnames": ["QUILL"]}),
        ([ADA, MOVED, ADA], ADA | {"other_postcodes": ["ZE3 9BD"]}),
        ([ADA, ADA | {"upn": None}], ADA),
        ([ADA, ADA | {"sex": None}], ADA),
        ([ADA, ADA | {"forename": None}], ADA),
        ([ADA | {"surname": None}, ADA], ADA),
        ([ADA | {"exclusion": "adoption"}, ADA], ADA | {"exclusion": "adoption"}),
    ],
)
def test_a_history_gives_what_clear_deliveries_give(
    history: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    wanted = content(records(identity(**expected)))
    assert content(merged(history, {})) == wanted
    # The same with the older ones clear, or with the newest one clear.
    *older, newest = history
    if len(older) == 1:
        assert content(merged([newest], {-5: older[0]})) == wanted
        assert content(merged(older, {5: newest})) == wanted


def test_a_composite_of_two_deliveries_is_left_out_and_both_states_are_kept() -> None:
    """The newest has no postcode and another surname: no record says both, so none is made up."""
    found = merged([ADA, RENAMED | {"postcode": None}], {})
    present = found.filter(pl.col("alternative") == 0)
    ada = records(identity(**ADA))
    assert present["postcode"].to_list() == ada["postcode"].to_list()
    assert present["surname_postcode"].to_list() == [None]
    older = found.filter(pl.col("alternative") > 0)
    assert older["surname_postcode"].to_list() == ada["surname_postcode"].to_list()


def test_old_states_are_limited_to_the_most_recent() -> None:
    outward = [f"ZE3 {n}AB" for n in range(10)] + ["ZE4 0AB", "ZE4 1AB"]
    found = merged([ADA | {"postcode": postcode} for postcode in outward], {})
    kept = [records(identity(**ADA | {"postcode": p}))["postcode"][0] for p in outward]
    assert found.sort("alternative")["postcode"].to_list() == [
        kept[len(outward) - 1 - n] for n in range(EARLIER_STATES + 1)
    ]
    assert found["alternative"].is_unique().all()


@pytest.mark.parametrize(("history", "clear"), [([ADA, ADA], {}), ([ADA], {-5: ADA})])
def test_nobody_takes_over_record_keys_of_another_source(
    history: list[dict[str, Any]], clear: dict[int, dict[str, Any]]
) -> None:
    with pytest.raises(LinkedCypError, match="record keys of another source .* d0"):
        merged(history, clear, source=2)
