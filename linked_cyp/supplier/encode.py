"""On the supplier's machine: a clear return becomes an encoded delivery.

The same reading, judging, pseudonymising and building of person records as at the centre, in
stores that live in memory. What does not fit is spilled to files encrypted under a key that only
the process has, in a private folder that is removed at the end, or at the next start after a kill.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.contracts.model import Contract
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.files import fsync, prepare_folder, sha256, sweep
from linked_cyp.expectations.suite import CheckOutcome, failures, run_rules
from linked_cyp.ingest import deliveries
from linked_cyp.ingest.encoded import compatibility, content
from linked_cyp.ingest.encoded.statement import FORMAT, Problem, Statement, clear_rules
from linked_cyp.ingest.encoded.supplier_keys import SupplierKeys, seal_purpose
from linked_cyp.ingest.landing import MANIFEST, STATEMENT, LandedDelivery, identify
from linked_cyp.ingest.ledger import REJECTED, DeliveryOutcome
from linked_cyp.linkage.records.identities import build_person_records
from linked_cyp.opt_outs.policy import not_applied
from linked_cyp.pseudonymise import deliveries as pseudonymise
from linked_cyp.stores.door import open_engine

_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class EncodedDelivery:
    """What was made: the folder to send, and counts. No field holds a value from the data."""

    folder: Path
    outcome: DeliveryOutcome
    source_persons: int


def encode(
    folder: Path,
    contracts: Mapping[str, Contract],
    keys: SupplierKeys,
    postcodes: pl.DataFrame,
    out: Path,
    *,
    period: str | None = None,
    version: str | None = None,
    memory_limit: str | None = None,
) -> EncodedDelivery:
    """Encode one delivery of a supplier's own.

    Args:
        folder: the return as it would be sent in clear, ``<period>[__<version>]`` or as its
            manifest says.
        contracts: every contract by feed, all years.
        keys: from the centre; they say which feed and supplier.
        postcodes: from :func:`linked_cyp.pseudonymise.reference.load_postcodes`.
        out: gets ``<supplier>/<feed>/<period>[__<version>]/``, as a landing folder has it.
        period: instead of the manifest's or the folder's.
        version: likewise.
        memory_limit: of DuckDB, such as ``"2GB"``.

    Raises:
        LinkedCypError: the key is of a feed that has no contract, the return cannot be accepted, a
            check that blocks failed, or the result is there already. Nothing is left in ``out``.
    """
    contract = contracts.get(keys.feed)
    if contract is None:
        raise LinkedCypError(f"the supplier key is for {keys.feed}, of which there is no contract")
    given = {"supplier": keys.supplier, "feed": contract.feed}
    given |= {k: v for k, v in (("period", period), ("version", version)) if v}
    with value_free("reading the folder"):
        landed = identify(folder, {contract.feed: contract}, **given)
    if landed.problem:
        raise LinkedCypError(f"the delivery does not match its manifest: {landed.problem}")
    if landed.is_encoded:
        raise LinkedCypError("the delivery is encoded already")
    name = "__".join(part for part in (landed.period, _plain_version(landed.version)) if part)
    target = out / landed.supplier / landed.feed / name
    if target.exists():
        raise LinkedCypError("an encoded delivery of that period and version is there already")
    with value_free("encoding a delivery"), _engine(memory_limit, _size(landed)) as (con, work):
        outcome = deliveries.ingest(con, contract, landed, work)
        if outcome.status != "accepted":
            raise LinkedCypError(f"the centre would refuse this return: {outcome.reason}")
        checks = _checked(con, contract, outcome)
        pseudonymise.pseudonymise_delivery(con, contract, landed.delivery_id, keys, postcodes)
        # Who opted out is for the centre to know: it applies its lists to what it receives.
        given_all = not_applied("applied where the delivery is received")
        persons = build_person_records(con, contracts, keys, opt_outs=given_all)["persons"]
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".encoding-", dir=target.parent))
        try:
            files = _write_files(con, contract, outcome, made)
            statement = _statement(con, contract, landed, outcome, keys, checks, files)
            content.verify(con, contract, statement, {name: made / name for name in files})
            _write_text(made / STATEMENT, statement.to_json())
            _write_text(made / MANIFEST, _manifest(landed, files, made / STATEMENT))
            made.chmod(0o700)
            os.rename(made, target)
            fsync(target.parent)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return EncodedDelivery(target, outcome, persons)


@contextmanager
def _engine(
    memory_limit: str | None, size: int
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """Stores in memory, a private folder for encrypted spill, and one for the readers' copies."""
    owner = f"linked-cyp-encode-{os.geteuid()}"
    roots = [_private(Path(tempfile.gettempdir()) / owner)]
    if _has_room(_MEMORY, 3 * size):  # readers copy what is not UTF-8, in clear: not to a disk
        roots.append(_private(_MEMORY / owner))
    own = f"{os.getpid()}-{time.monotonic_ns()}"
    folders = [prepare_folder(root / own) for root in roots]
    con: duckdb.DuckDBPyConnection | None = None
    try:
        for root in roots:
            sweep(root)
        con = open_engine(folders[0], memory_limit)
        for store in ("identifiable", "linkage", "warehouse"):
            con.execute(f"ATTACH ':memory:' AS {store}")
        yield con, folders[-1]
    finally:
        if con is not None:
            con.close()
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _private(folder: Path) -> Path:
    """A folder of ours in a place that everybody may write to."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.geteuid():
        raise LinkedCypError(f"the work folder {folder} belongs to somebody else")
    return prepare_folder(folder)


def _has_room(folder: Path, size: int) -> bool:
    try:
        return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > size
    except OSError:
        return False


def _size(landed: LandedDelivery) -> int:
    return sum(file.size for file in landed.files)


def _plain_version(version: str) -> str:
    """A version as part of a folder's name."""
    return "".join(c if c.isalnum() or c in ".-_" else "-" for c in version)


def _checked(
    con: duckdb.DuckDBPyConnection, contract: Contract, outcome: DeliveryOutcome
) -> dict[str, tuple[CheckOutcome, ...]]:
    """The verdicts that the centre cannot reach without the clear values.

    Raises:
        LinkedCypError: a check that blocks failed.
    """
    year = contract.collection_year(outcome.period)
    found = {
        table.name: tuple(
            run_rules(
                con,
                f"identifiable.raw.{table.table_name}",
                clear_rules(table, year, outcome.table(table.name).accepted),
            )
        )
        for table in contract.tables.values()
    }
    failed = [f"{table}: {name}" for table, o in found.items() for name in failures(o)]
    if failed:
        raise LinkedCypError("checks failed: " + "; ".join(failed))
    return found


def _write_files(
    con: duckdb.DuckDBPyConnection, contract: Contract, outcome: DeliveryOutcome, folder: Path
) -> dict[str, tuple[int, str]]:
    """Write the Parquet files; rows and SHA-256 by name."""
    queries: dict[str, str] = {}
    for name in outcome.tables:
        table = contract.tables[name]
        columns = ", ".join(f'"{column}"' for column in content.payload_columns(table))
        queries[table.table_name] = (
            f'SELECT {columns} FROM warehouse.pseudonymised."{table.table_name}"'
            " ORDER BY source_file, row_number"
        )
    queries[content.PERSON_RECORD] = (
        f"SELECT {', '.join(content.RECORD_COLUMNS)} FROM linkage.main.person_record"
        " ORDER BY record_key, alternative"
    )
    queries[content.ALIAS] = (
        f"SELECT {', '.join(content.ALIAS_COLUMNS)} FROM linkage.main.identifier_alias ORDER BY ALL"
    )
    files = {}
    for name, query in queries.items():
        path = folder / f"{name}{content.SUFFIX}"
        written = con.execute(
            f"COPY ({query}) TO '{str(path).replace(chr(39), chr(39) * 2)}'"
            " (FORMAT parquet, COMPRESSION zstd)"
        ).fetchall()[0][0]
        path.chmod(0o600)
        fsync(path)
        files[path.name] = (int(written), sha256(path)[0])
    return files


def _statement(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    landed: LandedDelivery,
    outcome: DeliveryOutcome,
    keys: SupplierKeys,
    checks: Mapping[str, tuple[CheckOutcome, ...]],
    files: Mapping[str, tuple[int, str]],
) -> Statement:
    problems = con.execute(
        "SELECT table_name, scope, column_name, rule, sum(rows)::BIGINT, count(*)"
        f" FROM {REJECTED} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    agreement: dict[str, dict[str, float]] = {}
    for field, level, share in con.execute(
        "SELECT field, level, share FROM linkage.main.name_agreement ORDER BY ALL"
    ).fetchall():
        agreement.setdefault(field, {})[level] = share
    people = con.execute(
        "SELECT count(*) FROM linkage.main.person_record WHERE alternative = 0 AND is_named"
    ).fetchall()[0][0]
    statement = Statement(
        feed=contract.feed,
        supplier=landed.supplier,
        period=landed.period,
        contract_version=contract.version,
        contract_sha256=compatibility.contract_digest(contract),
        encoding=compatibility.encoding_version(),
        key=keys.fingerprint(),
        files=files,
        tables=outcome.tables,
        unassigned_rows=outcome.unassigned_rows,
        problems=tuple(Problem(*row) for row in problems),
        checks=checks,
        people=people,
        name_agreement=agreement,
    )
    return statement.sealed(keys, seal_purpose(contract.feed, landed.supplier))


def _manifest(landed: LandedDelivery, files: Mapping[str, tuple[int, str]], statement: Path) -> str:
    listed: dict[str, dict[str, object]] = {
        name: {"sha256": digest, "rows": rows} for name, (rows, digest) in files.items()
    }
    listed[statement.name] = {"sha256": sha256(statement)[0]}
    said = {
        "format": FORMAT,
        "supplier": landed.supplier,
        "feed": landed.feed,
        "period": landed.period,
        "version": landed.version,
        "produced": landed.produced,
        "files": listed,
    }
    return json.dumps(said, indent=1) + "\n"


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    fsync(path)
