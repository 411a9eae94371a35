"""Which code list a released column has, and what its codes mean."""

from __future__ import annotations

import duckdb
import pytest

from linked_cyp.contracts.model import Code, Codeset, load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.metadata.lineage import SUPPLIER, ColumnRef, Edge
from linked_cyp.release.build import ReleaseColumn, ReleaseTable
from linked_cyp.release.codes import code_table, fitting_lists


def codeset(name: str, codes: str) -> Codeset:
    return Codeset(name, tuple(Code(code, code) for code in codes))


OLD, NEW, OTHER = codeset("old", "123"), codeset("new", "1234"), codeset("other", "XYZ")


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ("123", ["old", "new"]),  # on both
        ("1234", ["new"]),
        ("XY", ["other"]),
        ("XYZ?", []),  # one in four is on no list: another column's values
        ("WXYZ2", []),  # harmonised from several lists
        ("", []),  # empty, and made from more than one
    ],
)
def test_the_list_on_which_the_values_are(values: str, names: list[str]) -> None:
    assert [c.name for c in fitting_lists([OLD, NEW, OTHER], set(values))] == names


def test_an_empty_column_has_the_only_list_there_is() -> None:
    assert list(fitting_lists([OTHER], set())) == [OTHER]


def test_more_lists_than_two_that_fit_are_the_suppliers() -> None:
    assert list(fitting_lists([OLD, NEW, codeset("newest", "12345")], set("12"))) == []


def test_codes_of_a_column_made_from_a_suppliers_field() -> None:
    contracts = load_contracts(PROJECT_ROOT / "data_contracts")
    made = ReleaseTable(
        "curated",
        "placement",
        "A placement.",
        tuple(
            ReleaseColumn(name, "VARCHAR", "A text.")
            for name in ("place_code", "place", "place_id")
        ),
    )
    raw = ColumnRef("raw", "ssda903__episodes", "placement_type_code")
    edges = [Edge(ColumnRef(SUPPLIER, "ssda903__episodes", "PLACE"), raw, "read")] + [
        Edge(raw, ColumnRef("curated", "placement", column.name), "placement")
        for column in made.columns
    ]
    with duckdb.connect() as con:
        con.execute("ATTACH ':memory:' AS fresh; CREATE SCHEMA fresh.curated")
        con.execute(
            "CREATE TABLE fresh.curated.placement AS SELECT 'U1' AS place_code,"
            " 'foster carer' AS place, 'U1' AS place_id"
        )
        rows = code_table(con, [made], contracts, edges).rows
        con.execute("UPDATE fresh.curated.placement SET place_code = 'elsewhere'")
        assert code_table(con, [made], contracts, edges).rows == []
    assert {row[:4] for row in rows} == {("curated", "placement", "place_code", "placement_type")}
    known = {code: (since, until) for *_, code, _, since, until in rows}
    assert known["H5"] == (None, 2024)  # supported accommodation since
    assert {"U1", "K2", "P1"} <= set(known)
