"""A toy contract and helpers for tests of reading, ledger and ingest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from linked_cyp.contracts.model import Column, Contract, Table
from linked_cyp.ingest.deliveries import ingest
from linked_cyp.ingest.landing import LandedDelivery, identify
from linked_cyp.ingest.ledger import DeliveryOutcome


def column(name: str, type_: str = "string", **more: Any) -> Column:
    return Column(name, more.pop("physical_name", name.upper()), type_, f"The {name}.", **more)


def table(name: str, *columns: Column, required: bool = False) -> Table:
    return Table("toy", name, name.upper(), f"The {name}s.", f"one {name}", required, (), columns)


PUPIL = table(
    "pupil",
    column("pupil_id", required=True, primary_key_position=1),
    column("surname", aliases=("LASTNAME",)),
    column("birth_date", "date", required=True),
    column("sessions", "integer"),
    column("is_funded", "boolean"),
    column("score", "number"),
    column("sex_code", since=2025),
    required=True,
)
VISIT = table(
    "visit",
    column("pupil_id", required=True),
    column("visit_date", "date", required=True),
    column("reason"),
)
NOTE = table("note", column("text"), column("other"))


def contract(*tables: Table, share: float = 0.5, version: str = "1.0.0") -> Contract:
    return Contract(
        feed="toy",
        title="Toy return",
        version=version,
        domain="education",
        description="",
        purpose="",
        limitations="",
        reader="delimited",
        period_kind="financial_year",
        supplier_kind="local_authority",
        legal_basis="none needed: invented data",
        owner="nobody",
        cadence="",
        date_formats=("%d/%m/%Y", "%Y-%m-%d"),
        delimiter=",",
        max_quarantined_share=share,
        source_of_fact="",
        layout="unverified",
        tables={t.name: t for t in (tables or (PUPIL, VISIT))},
        max_lost_share=1.0,  # tests of reading spoil whole columns; those of losses say otherwise
    )


def memory_store() -> duckdb.DuckDBPyConnection:
    """A connection with an identifiable catalog that is gone when it closes."""
    con = duckdb.connect(config={"threads": 1})
    con.execute("ATTACH ':memory:' AS identifiable")
    return con


def land(
    root: Path,
    files: Mapping[str, str | bytes],
    *,
    supplier: str = "brent",
    feed: str = "toy",
    name: str = "2025",
    manifest: Mapping[str, Any] | None = None,
) -> Path:
    """Put one delivery into a landing folder."""
    folder = root / supplier / feed / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / file).write_bytes(data)
    if manifest is not None:
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def take(
    con: duckdb.DuckDBPyConnection, contract_: Contract, folder: Path, **more: Any
) -> DeliveryOutcome:
    """Identify and ingest one landed folder."""
    work = folder.parents[2].parent / "work"
    return ingest(con, contract_, delivery(contract_, folder), work, **more)


def delivery(contract_: Contract, folder: Path) -> LandedDelivery:
    return identify(folder, {contract_.feed: contract_})


def rows(con: duckdb.DuckDBPyConnection, table_name: str, columns: str = "*") -> list[tuple]:
    return con.execute(
        f"SELECT {columns} FROM identifiable.raw.{table_name} ORDER BY source_file, row_number"
    ).fetchall()


def quarantined(con: duckdb.DuckDBPyConnection) -> list[tuple]:
    """(table, row number, scope, column, rule, rows), in order."""
    return con.execute(
        "SELECT table_name, row_number, scope, column_name, rule, rows "
        "FROM identifiable.quarantine.rejected ORDER BY ALL"
    ).fetchall()
