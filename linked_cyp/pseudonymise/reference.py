"""Reference data that the operator supplies: the postcode directory, and schools.

They are public lists of places, so they do not come through the landing folder, with its ledger and
its encrypted store, but lie in ``home/reference`` and are read where they are needed. Their
contracts are in ``data_contracts/reference``: the columns read, and what publishers have called
them. Everything else of these wide files is passed over.

Indices of deprivation and code maps are small and the same for everybody: they are seeds of the dbt
project.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.contracts.model import Column, Contract, Table, load_contracts
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.core.sql import literal, quoted, transaction
from linked_cyp.identity.identifiers import standardise_id, standardise_postcode
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.tokenise import LOCAL_ID, message, own_tokens

CONTRACTS = PROJECT_ROOT / "data_contracts" / "reference"
POSTCODE = "postcode_directory"
ESTABLISHMENT = "establishments"
ESTABLISHMENT_TABLE = "warehouse.reference.establishment"
AREAS = ("lsoa11_code", "lsoa21_code", "la_code")
# What a school is, as far as the warehouse may know; how old its pupils may be is a range.
KIND = ("phase", "type_group", "lowest_age", "highest_age")
SHOWN = ("school_id", *KIND)
# How deliveries name schools (the scope of the token), and which of our numbers that is.
NUMBERS = {"school_id": "laestab", "school_urn": "urn"}
_COLUMNS = {
    "feed": ("VARCHAR", "The feed that names the school."),
    "supplier": ("VARCHAR", "Who delivered it: the same school is another token for another."),
    "school_id": ("BIGINT", "The school as that supplier's rows name it, a keyed token."),
    "phase": ("VARCHAR", "Nursery, primary, middle, secondary, 16 plus or all-through."),
    "type_group": ("VARCHAR", "Kind of establishment, such as academies or special schools."),
    "lowest_age": ("BIGINT", "Youngest age it may teach, in years."),
    "highest_age": ("BIGINT", "Oldest age it may teach, in years."),
}
_TYPES = {"VARCHAR": pl.String, "BIGINT": pl.Int64}
_ROWS = {name: _TYPES[kind] for name, (kind, _) in _COLUMNS.items()}
# ONS writes 99999999 where a place has no such area (Channel Islands, Isle of Man).
_NO_AREA = "99999999$"


@cache
def reference_contracts() -> Mapping[str, Contract]:
    """The contracts of reference data, by name; they are not feeds and have no deliveries."""
    return load_contracts(CONTRACTS)


def reference_table(name: str) -> Table:
    (table,) = reference_contracts()[name].tables.values()
    return table


def establishments_file(settings: Settings) -> Path:
    """Where the operator puts the list of establishments."""
    return settings.home / "reference" / reference_table(ESTABLISHMENT).physical_name


def load_postcodes(path: Path, prepared: Path | None = None) -> pl.DataFrame:
    """Read ONSPD or NSPL: where each postcode lies.

    Args:
        path: the CSV as published, with the names of any year.
        prepared: a folder of ours for a copy of what is needed of it, made when the file is new.
            Reading the copy takes a twentieth of the time.

    Returns:
        One row per postcode: ``postcode`` (standardised), ``lsoa11_code``, ``lsoa21_code``,
        ``la_code`` (local authority district), all text; null where there is no such area.

    Raises:
        LinkedCypError: the file is missing, is not CSV, or lacks a column (named).
    """
    if not path.is_file():
        raise LinkedCypError(
            f"there is no postcode directory {path}: put the ONSPD or NSPL CSV there"
        )
    with value_free(f"reading the postcode directory {path.name}"):
        if prepared is None:
            return _postcodes(path).collect(engine="streaming")
        return pl.read_parquet(prepared_postcodes(path, prepared))


def prepared_postcodes(path: Path, folder: Path) -> Path:
    """The copy of a postcode directory that is quick to read, made anew when the file changed.

    The file is read as a stream, so its size does not matter to memory.
    """
    state = path.stat()
    copy = folder / f"postcodes-{state.st_size:x}-{state.st_mtime_ns:x}.parquet"
    if not copy.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = copy.with_name(f"{copy.name}.{os.getpid()}")
        try:
            _postcodes(path).sink_parquet(made, engine="streaming")
            os.replace(made, copy)
        finally:
            made.unlink(missing_ok=True)
        for old in folder.glob("postcodes-*.parquet"):
            if old != copy:
                old.unlink(missing_ok=True)
    return copy


def postcode_directory(settings: Settings) -> pl.DataFrame:
    """:func:`load_postcodes` of an installation, by way of its prepared copy."""
    return load_postcodes(settings.postcodes, settings.stores / "reference")


def _postcodes(path: Path) -> pl.LazyFrame:
    codes = [
        pl.when(~pl.col(code).str.contains(_NO_AREA)).then(pl.col(code)).alias(code)
        for code in AREAS
    ]
    return (
        scan(reference_table(POSTCODE), path)
        .with_columns(standardise_postcode(pl.col("postcode")), *codes)
        .filter(pl.col("postcode").is_not_null())
        .unique("postcode", keep="first", maintain_order=True)
        .select("postcode", *AREAS)
    )


def load_establishments(path: Path) -> pl.DataFrame:
    """Read the list of establishments: one row each, those that are open first.

    Without a file there are none: nothing but the kind of school is then unknown.

    Returns:
        ``urn``, ``laestab`` (local authority and establishment number, seven digits; null where
        there is none), ``phase``, ``type_group``, ``lowest_age`` and ``highest_age`` (years).

    Raises:
        LinkedCypError: the file is not CSV, or lacks a column (named).
    """
    if not path.is_file():
        kind = {name: _ROWS[name] for name in KIND}
        return pl.DataFrame(schema={"urn": pl.String, "laestab": pl.String, **kind})
    laestab = pl.col("la_number") + pl.col("establishment_number").str.zfill(4)
    with value_free(f"reading the establishments {path.name}"):
        return (
            scan(reference_table(ESTABLISHMENT), path)
            .filter(pl.col("urn").is_not_null())
            .unique("urn", keep="first", maintain_order=True)
            .with_columns(laestab=laestab, is_open=pl.col("status").str.starts_with("Open"))
            .sort("is_open", "urn", descending=True, nulls_last=True, maintain_order=True)
            .select("urn", "laestab", *KIND)
            .collect()
        )


def scan(table: Table, path: Path) -> pl.LazyFrame:
    """The columns that a contract declares, by our names and types; blanks are null.

    Text that is not what the contract's pattern says is null as well.

    Raises:
        LinkedCypError: the file lacks a column (named).
    """
    # What is kept is ASCII; names of places in the columns passed over need not be valid UTF-8.
    frame = pl.scan_csv(path, infer_schema=False, encoding="utf8-lossy")
    header = {_plain(name): name for name in frame.collect_schema().names()}
    return frame.select(
        _value(column, header, table.physical_name).alias(column.name) for column in table.columns
    )


def _plain(name: str) -> str:
    """A header without case and blanks; ``lad25cd`` is ``ladnncd``, whatever the year."""
    return re.sub(r"^lad\d\dcd$", "ladnncd", name.strip().lower())


def _value(column: Column, header: Mapping[str, str], file: str) -> pl.Expr:
    names = (column.physical_name, *column.aliases)
    found = [header[_plain(name)] for name in names if _plain(name) in header]
    if not found and not column.required:
        return pl.lit(None, dtype=pl.String)
    if not found:
        raise LinkedCypError(f"{file} has no column {' or '.join(names)}")
    text = pl.col(found[0]).str.strip_chars()
    match column.type:
        case "integer":
            return text.cast(pl.Int64, strict=False)
        case _ if column.pattern:
            return pl.when(text.str.contains(column.pattern)).then(text)
    return pl.when(text != "").then(text)


def publish_establishments(
    con: duckdb.DuckDBPyConnection,
    contracts: Iterable[Contract],
    keys: Keys,
    establishments: pl.DataFrame,
) -> int:
    """Write what the schools in the warehouse are, under the tokens that deliveries know them by.

    A school's token is its supplier's own, so a school stands once for every supplier that names
    it. Schools that no delivery names are left out.

    Args:
        con: has the catalog ``warehouse``, for writing.
        establishments: from :func:`load_establishments`, the likeliest of a number first.

    Returns:
        Rows written.
    """
    with value_free("writing the establishments"):
        named = [
            known.join(_tokens(establishments, scope, keys, feed, supplier), on="school_id").select(
                feed=pl.lit(feed), supplier=pl.lit(supplier), **{c: pl.col(c) for c in SHOWN}
            )
            for (feed, supplier), scope, known in _schools_named(con, contracts)
        ]
        ensure_establishments(con)
        con.register("named_establishment", pl.concat([pl.DataFrame(schema=_ROWS), *named]))
        try:
            with transaction(con):
                con.execute(f"DELETE FROM {ESTABLISHMENT_TABLE}")
                con.execute(
                    f"INSERT INTO {ESTABLISHMENT_TABLE} BY NAME "
                    "SELECT * FROM named_establishment ORDER BY feed, supplier, school_id"
                )
        finally:
            con.unregister("named_establishment")
        return con.execute(f"SELECT count(*) FROM {ESTABLISHMENT_TABLE}").fetchall()[0][0]


def ensure_establishments(con: duckdb.DuckDBPyConnection) -> None:
    """Create the empty table, as the dbt project's ``ensure_establishments`` does."""
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in _COLUMNS.items())
    con.execute("CREATE SCHEMA IF NOT EXISTS warehouse.reference")
    con.execute(f"CREATE TABLE IF NOT EXISTS {ESTABLISHMENT_TABLE} ({columns})")
    for name, (_, text) in _COLUMNS.items():
        con.execute(f"COMMENT ON COLUMN {ESTABLISHMENT_TABLE}.{name} IS {literal(text)}")


def _schools_named(
    con: duckdb.DuckDBPyConnection, contracts: Iterable[Contract]
) -> Iterator[tuple[tuple[str, str], str, pl.DataFrame]]:
    """Feed and supplier, how they name schools, and the tokens of the schools they name."""
    held = {
        name
        for (name,) in con.execute(
            "SELECT table_name FROM duckdb_tables() "
            "WHERE database_name = 'warehouse' AND schema_name = 'pseudonymised'"
        ).fetchall()
    }
    for contract in contracts:
        for scope in NUMBERS:
            naming = [
                f"SELECT delivery_id, {quoted(output.name)} AS school_id "
                f"FROM warehouse.pseudonymised.{quoted(table.table_name)}"
                for table in contract.tables.values()
                for output in table.pseudonymised()
                if output.treatment == "token"
                and (output.source.token_scope or output.source.name) == scope
                and table.table_name in held
            ]
            if not naming:
                continue
            tokens = con.execute(
                "SELECT DISTINCT supplier, school_id "
                f"FROM ({' UNION ALL '.join(naming)}) "
                "JOIN warehouse.pseudonymised.delivery USING (delivery_id) "
                "WHERE school_id IS NOT NULL ORDER BY ALL"
            ).pl()
            for (supplier,), known in tokens.group_by("supplier", maintain_order=True):
                yield (contract.feed, supplier), scope, known.select("school_id")


def _tokens(
    establishments: pl.DataFrame, scope: str, keys: Keys, feed: str, supplier: str
) -> pl.DataFrame:
    """Every establishment under the tokens that one supplier's rows of one feed have."""
    number = standardise_id(pl.col(NUMBERS[scope]))
    text = message(feed, pl.col("supplier"), scope, number).alias("text")
    messages = establishments.select(NUMBERS[scope], supplier=pl.lit(supplier))
    messages = messages.select("supplier", text)
    school_id = own_tokens(keys, LOCAL_ID, feed, messages).alias("school_id")
    return establishments.with_columns(school_id).unique(
        "school_id", keep="first", maintain_order=True
    )
