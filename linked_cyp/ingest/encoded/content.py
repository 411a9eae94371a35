"""The files of an encoded delivery: what each may hold, and whether it does.

A file is believed in nothing. Its columns and types must be the declared ones and no more, text
must be a declared code or match a declared pattern, tokens and encodings must look like tokens and
encodings, numbers must be too small to be a national or telephone number. What still could carry a
message (63 bits of a token) is said in the documentation. Reasons name files and columns, never
values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from linked_cyp.contracts.model import Contract, OutputColumn, Table
from linked_cyp.contracts.pseudonymised import ROW_COLUMNS, declared_only
from linked_cyp.contracts.vocabulary import REASONS
from linked_cyp.core.sql import literal, quoted
from linked_cyp.expectations.rules import AREA_CODE
from linked_cyp.identity.encodings import BITS
from linked_cyp.identity.person_records import ALTERNATIVES, ALTERNATIVES_PER_FIELD, COLUMNS, TOKENS
from linked_cyp.ingest.encoded.statement import Refused, Statement

PERSON_RECORD = "person_record"
ALIAS = "identifier_alias"
SUFFIX = ".parquet"
# Numbered where the deliveries of all suppliers are together, so not by a supplier.
NOT_SENT = ("record_id", "source", "supplier")
RECORD_COLUMNS = {name: kind for name, kind in COLUMNS.items() if name not in NOT_SENT}
ALIAS_COLUMNS = {"identifier": "VARCHAR", "former": "BIGINT", "token": "BIGINT"}
LARGEST_NUMBER = 10**9  # nine digits: fewer than an NHS, learner or telephone number has
MOST_ALTERNATIVES = len(ALTERNATIVES) * ALTERNATIVES_PER_FIELD


def payload_columns(table: Table) -> dict[str, str]:
    """Columns and types of a table's payload, in order."""
    found = {name: kind for name, kind in ROW_COLUMNS.items() if name != "delivery_id"}
    if table.person_key:
        found["record_key"] = "BIGINT"
    return found | {output.name: output.sql_type for output in table.pseudonymised()}


def file_columns(contract: Contract, statement: Statement) -> dict[str, dict[str, str]]:
    """Columns and types of every file a delivery with this statement has."""
    payload = {
        f"{contract.tables[name].table_name}{SUFFIX}": payload_columns(contract.tables[name])
        for name in statement.tables
    }
    return payload | {
        f"{PERSON_RECORD}{SUFFIX}": RECORD_COLUMNS,
        f"{ALIAS}{SUFFIX}": ALIAS_COLUMNS,
    }


def verify(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    statement: Statement,
    files: Mapping[str, Path],
) -> None:
    """Check every file of a delivery against its contract and its statement.

    Args:
        files: where each file lies, by name; hashes were checked before.

    Raises:
        Refused: the first file that is not as declared, and why.
    """
    wanted = file_columns(contract, statement)
    if set(files) != set(wanted) or set(statement.files) != set(wanted):
        raise Refused("the delivery does not hold exactly the files of an encoded delivery")
    for name, columns in wanted.items():
        _verify_form(name, files[name], columns, statement.files[name][0])
    for name, counts in statement.tables.items():
        table = contract.tables[name]
        file = f"{table.table_name}{SUFFIX}"
        if statement.files[file][0] != counts.accepted:
            raise Refused(f"{file}: as many rows as were accepted were to be there")
        _refuse_breaches(con, file, files[file], dict(_payload_breaches(table)))
        _refuse_repeats(con, file, files[file], "source_file, row_number")
    file = f"{PERSON_RECORD}{SUFFIX}"
    _refuse_breaches(con, file, files[file], dict(_record_breaches()))
    _refuse_repeats(con, file, files[file], "record_key, alternative")
    _verify_persons(con, contract, statement, files)
    file = f"{ALIAS}{SUFFIX}"
    _refuse_breaches(con, file, files[file], ALIAS_BREACHES)


def relation(path: Path) -> str:
    """SQL that reads one Parquet file."""
    return f"read_parquet({literal(str(path))}, hive_partitioning = false)"


def _verify_form(name: str, path: Path, columns: Mapping[str, str], rows: int) -> None:
    """The form of one file: Parquet, exactly these columns and types, so many rows, no more."""
    try:
        with pq.ParquetFile(path) as file:
            found = {field.name: _TYPES.get(str(field.type)) for field in file.schema_arrow}
            many = len(file.schema_arrow) != len(found)
            notes = set(file.metadata.metadata or ()) - {b"ARROW:schema"}
            counted = file.metadata.num_rows
    except Exception:  # whatever a broken or malicious file makes the library say
        found = None
    if found is None:
        raise Refused(f"{name} is not a Parquet file")
    if missing := sorted(set(columns) - set(found)):
        raise Refused(f"{name} lacks {', '.join(missing)}")
    if many or len(found) != len(columns):
        raise Refused(f"{name} has {len(found) - len(columns)} columns that are not declared")
    if wrong := sorted(c for c, kind in columns.items() if found[c] != kind):
        raise Refused(f"{name}: not of the declared type: {', '.join(wrong)}")
    if notes:
        raise Refused(f"{name} carries notes beside its columns")
    if counted != rows:
        raise Refused(f"{name} does not hold the rows its statement says")


_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "int32": "INTEGER",
    "int16": "SMALLINT",
    "int8": "TINYINT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "date32[day]": "DATE",
    "timestamp[us]": "TIMESTAMP",
}


def _payload_breaches(table: Table) -> Iterator[tuple[str, str]]:
    """What no row of a payload may be: (column, SQL)."""
    yield "source_file", "source_file IS NULL OR source_file NOT BETWEEN 0 AND 99999"
    yield "row_number", f"row_number IS NULL OR row_number NOT BETWEEN 1 AND {LARGEST_NUMBER}"
    if table.person_key:
        yield "record_key", "record_key < 0"
    for output in table.pseudonymised():
        yield output.name, _breach(output, quoted(output.name))


def _breach(output: OutputColumn, column: str) -> str:
    """SQL that is true where a value cannot be what its contract says."""
    match output.treatment, output.sql_type:
        case "token", _:
            return f"{column} < 0"
        case "coarsen_month", _:
            return f"date_trunc('month', {column}) <> {column}"
        case "coarsen_year", _:
            return f"{column} NOT BETWEEN 1800 AND 2200"
        case "coarsen_lsoa", _:
            return f"NOT regexp_matches({column}, {literal(AREA_CODE)})"
        case "keep", "VARCHAR":
            return f"({declared_only(output.source, column)}) IS DISTINCT FROM {column}"
        case "keep", "BIGINT" | "DOUBLE":
            bounds = [b for b in (output.source.minimum, output.source.maximum) if b is not None]
            limit = max([LARGEST_NUMBER, *(abs(float(bound)) for bound in bounds)])
            return f"NOT ({column} BETWEEN {-limit} AND {limit})"
        case "keep", "DATE" | "TIMESTAMP" | "BOOLEAN":
            return "false"
    raise Refused(f"{output.name}: unknown treatment")


def _record_breaches() -> Iterator[tuple[str, str]]:
    """What no person record may be: (column, SQL)."""
    reasons = ", ".join(map(literal, REASONS))
    yield "record_key", "record_key IS NULL OR record_key < 0"
    yield "alternative", f"alternative IS NULL OR alternative NOT BETWEEN 0 AND {MOST_ALTERNATIVES}"
    yield "exclusion", f"exclusion NOT IN ({reasons})"
    yield "sex", "sex NOT IN (1, 2)"
    for token in TOKENS:
        yield token, f"{token} < 0"
    for field in ("forename", "surname"):
        lanes = " + ".join(f"bit_count({field}_lane_{n})::INTEGER" for n in (0, 1))
        # A lane is a set of bits: any number is one, but its population count is given beside it.
        yield f"{field}_bits", f"{field}_bits IS DISTINCT FROM {lanes} OR {field}_bits > {BITS}"


ALIAS_BREACHES = {
    "identifier": "identifier IS NULL OR identifier NOT IN ('nhs', 'upn')",
    "former": "former IS NULL OR former < 0",
    "token": "token IS NULL OR token < 0",
}


def _refuse_breaches(
    con: duckdb.DuckDBPyConnection, name: str, path: Path, breaches: Mapping[str, str]
) -> None:
    counts = ", ".join(f"count(*) FILTER ({sql})" for sql in breaches.values())
    found = con.execute(f"SELECT {counts} FROM {relation(path)}").fetchall()[0]
    wrong = [f"{column} ({n})" for column, n in zip(breaches, found, strict=True) if n]
    if wrong:
        raise Refused(f"{name}: values that are not allowed (rows): {', '.join(wrong)}")


def _refuse_repeats(con: duckdb.DuckDBPyConnection, name: str, path: Path, key: str) -> None:
    repeated = con.execute(
        f"SELECT count(*) - count(DISTINCT ({key})) FROM {relation(path)}"
    ).fetchall()[0][0]
    if repeated:
        raise Refused(f"{name}: {repeated} rows repeat {key}")


def _verify_persons(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    statement: Statement,
    files: Mapping[str, Path],
) -> None:
    """Every person has a present record and a row of the payload; the named are as many as told."""
    records = relation(files[f"{PERSON_RECORD}{SUFFIX}"])
    keyed = [t for n, t in contract.tables.items() if t.person_key and n in statement.tables]
    rows = " UNION ".join(
        f"SELECT record_key FROM {relation(files[f'{t.table_name}{SUFFIX}'])}" for t in keyed
    )
    headless, strangers, named = con.execute(
        f"SELECT (SELECT count(*) FROM (SELECT 1 FROM {records} GROUP BY record_key"
        " HAVING min(alternative) <> 0)),"
        f" (SELECT count(DISTINCT record_key) FROM {records} WHERE record_key NOT IN"
        f" (SELECT record_key FROM ({rows or 'SELECT NULL::BIGINT AS record_key'})"
        " WHERE record_key IS NOT NULL)),"
        f" (SELECT count(*) FROM {records} WHERE alternative = 0 AND is_named)"
    ).fetchall()[0]
    if headless:
        raise Refused(f"{PERSON_RECORD}{SUFFIX}: {headless} persons have no present record")
    if strangers:
        raise Refused(f"{PERSON_RECORD}{SUFFIX}: {strangers} persons are in no row of the payload")
    if named != statement.people:  # its shares of names would weigh more than its people
        raise Refused(f"{PERSON_RECORD}{SUFFIX} does not hold the people its statement says")
