"""At the centre: an encoded delivery is verified, taken into the ledger, and published.

There is no raw table of it. What came is kept in the identifiable store, schema ``encoded``, row
for row under the delivery's id, so that pseudonymisation and linkage can be repeated and a
withdrawal erases it like any other delivery.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from linked_cyp.contracts.model import Contract, Table
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.files import prepare_folder, sha256
from linked_cyp.core.sql import literal, quoted
from linked_cyp.expectations.rules import Rule, delivery_filter, ledger_rules
from linked_cyp.expectations.suite import CheckOutcome, run_rules
from linked_cyp.identity.exclusions import in_force
from linked_cyp.identity.keys import Keys
from linked_cyp.ingest.encoded import compatibility, content
from linked_cyp.ingest.encoded.statement import LARGEST, Problem, Refused, Statement, read
from linked_cyp.ingest.encoded.supplier_keys import seal_purpose, supplier_keys
from linked_cyp.ingest.landing import STATEMENT, LandedDelivery
from linked_cyp.ingest.ledger import ENCODED, REJECTED

DELIVERY = f"{ENCODED}.delivery"
_DDL = f"""
CREATE SCHEMA IF NOT EXISTS {ENCODED};
CREATE TABLE IF NOT EXISTS {DELIVERY} (
    delivery_id VARCHAR NOT NULL, encoding VARCHAR, people BIGINT, name_agreement VARCHAR,
    checks VARCHAR, exclusions VARCHAR);
-- A store from before they were kept.
ALTER TABLE {DELIVERY} ADD COLUMN IF NOT EXISTS exclusions VARCHAR;
"""
# Marks among a check's metrics.
BY_SUPPLIER = "checked by the supplier before encoding"
NOT_APPLICABLE = "not checked: needs clear values"


@contextmanager
def copied(landed: LandedDelivery, work: Path) -> Iterator[LandedDelivery]:
    """The delivery in a private folder, so that what is verified is what is stored.

    Raises:
        LinkedCypError: a file changed since it was identified.
    """
    prepare_folder(work)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-encoded-", dir=work))
    try:
        files = []
        for file in landed.files:
            own = folder / str(file.index)
            shutil.copyfile(file.path, own)
            if sha256(own)[0] != file.sha256:
                raise LinkedCypError(f"file {file.index} changed since it was identified")
            files.append(replace(file, path=own))
        yield replace(landed, files=tuple(files))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def believed(
    con: duckdb.DuckDBPyConnection, contract: Contract, landed: LandedDelivery, keys: Keys
) -> Statement:
    """The statement of a delivery that landed, after everything in it was verified.

    Raises:
        Refused: it was made with another key, contract or encoding, was changed on the way, or
            holds what an encoded delivery may not hold.
    """
    files = {file.name: file for file in landed.files}
    if files[STATEMENT].size > LARGEST:
        raise Refused(f"{STATEMENT} is too long")
    statement = read(files.pop(STATEMENT).path.read_bytes(), contract)
    if (statement.supplier, statement.period) != (landed.supplier, landed.period):
        raise Refused(f"{STATEMENT} is of another supplier or period than the delivery")
    if statement.contract_version != contract.version:
        raise Refused(f"encoded under another version of the {contract.feed} contract")
    if statement.contract_sha256 != compatibility.contract_digest(contract):
        raise Refused(f"the supplier's {contract.feed} contract is not ours, though its version is")
    if statement.encoding != compatibility.encoding_version():
        raise Refused("names are spelt or encoded otherwise there: not the same linked-cyp version")
    own = supplier_keys(keys, contract, landed.supplier)
    if statement.key != own.fingerprint():
        raise Refused("encoded under another key than we gave this supplier for this feed")
    if not statement.is_sealed(own, seal_purpose(contract.feed, landed.supplier)):
        raise Refused(f"the seal of {STATEMENT} is broken: it was changed after it was made")
    changed = [
        name
        for name, (_, digest) in statement.files.items()
        if name in files and files[name].sha256 != digest
    ]
    if changed:
        raise Refused(f"{len(changed)} files were changed after {STATEMENT} was sealed")
    content.verify(con, contract, statement, {name: file.path for name, file in files.items()})
    return statement


def store(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    landed: LandedDelivery,
    statement: Statement,
) -> None:
    """Take a verified delivery's rows into the identifiable store, in the caller's transaction."""
    con.execute(_DDL)
    delivery_id = landed.delivery_id
    files = {file.name: file.path for file in landed.files}
    for name, columns in content.file_columns(contract, statement).items():
        relation = table(name.removesuffix(content.SUFFIX))
        _ensure(con, relation, columns)
        con.execute(
            f"INSERT INTO {relation} BY NAME SELECT {literal(delivery_id)} AS delivery_id, *"
            f" FROM {content.relation(files[name])}"
        )
    verdicts = {
        name: [(o.name, o.passed, o.severity, dict(o.metrics)) for o in outcomes]
        for name, outcomes in statement.checks.items()
    }
    # Those of the supplier are ours: they are part of the contract, which has to be the same.
    excluded = json.dumps(in_force(contract))
    agreement = json.dumps({f: dict(shares) for f, shares in statement.name_agreement.items()})
    con.execute(
        f"INSERT INTO {DELIVERY}"
        " (delivery_id, encoding, people, name_agreement, checks, exclusions)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [
            *(delivery_id, statement.encoding, statement.people),
            *(agreement, json.dumps(verdicts), excluded),
        ],
    )
    for problem in statement.problems:
        _store_problem(con, contract, delivery_id, problem)


def _store_problem(
    con: duckdb.DuckDBPyConnection, contract: Contract, delivery_id: str, problem: Problem
) -> None:
    con.execute(
        f"INSERT INTO {REJECTED} VALUES (?, ?, ?, NULL, NULL, ?, ?, ?, ?, NULL)",
        [
            delivery_id,
            contract.feed,
            problem.table,
            problem.scope,
            problem.column,
            problem.rule,
            problem.rows,
        ],
    )


def is_held(con: duckdb.DuckDBPyConnection, delivery_id: str) -> bool:
    """Whether a delivery came encoded and its rows are in the store."""
    if not has_any(con):
        return False
    found = con.execute(
        f"SELECT count(*) FROM {DELIVERY} WHERE delivery_id = ?", [delivery_id]
    ).fetchall()
    return bool(found[0][0])


def has_any(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether any encoded delivery was ever taken."""
    return "delivery" in stored_tables(con)


def stored_tables(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Names of the tables of the schema."""
    catalog, schema = ENCODED.split(".")
    rows = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = ?",
        [catalog, schema],
    ).fetchall()
    return {name for (name,) in rows}


def table(name: str) -> str:
    """The qualified name of a table of encoded rows."""
    return f"{ENCODED}.{quoted(name)}"


def verdicts(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    declared: Table,
    delivery_id: str,
    rules: Sequence[Rule],
) -> list[CheckOutcome]:
    """The verdicts on a raw table that there is not, in the order of its rules.

    Rules on the ledger are run here. Those on clear values were run by the supplier, whose sealed
    verdict is passed on, marked as the supplier's; a rule that the supplier did not know is passed
    with the mark that it does not apply.

    Raises:
        LinkedCypError: the delivery is not held.
    """
    found = con.execute(
        f"SELECT checks FROM {DELIVERY} WHERE delivery_id = ?", [delivery_id]
    ).fetchone()
    if found is None:
        raise LinkedCypError("the delivery did not come encoded, or was erased")
    told = {name: said for name, *said in json.loads(found[0])[declared.name]}
    share = contract.max_quarantined_share
    ours = {rule.name for rule in ledger_rules(delivery_id, declared.name, share)}
    chosen = [rule for rule in rules if rule.name in ours]
    judged = {o.name: o for o in run_rules(con, DELIVERY, chosen, delivery_filter(delivery_id))}
    for rule in rules:
        if rule.name in told:
            passed, severity, metrics = told[rule.name]
            metrics = {**metrics, BY_SUPPLIER: 1}
            judged[rule.name] = CheckOutcome(rule.name, passed, severity, rule.description, metrics)
        elif rule.name not in judged:
            judged[rule.name] = CheckOutcome(
                rule.name, True, rule.severity, rule.description, {NOT_APPLICABLE: 1}
            )
    return [judged[rule.name] for rule in rules]


def _ensure(con: duckdb.DuckDBPyConnection, relation: str, columns: Mapping[str, str]) -> None:
    """The table of encoded rows, made or widened to the columns."""
    declared = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
    con.execute(f"CREATE TABLE IF NOT EXISTS {relation} (delivery_id VARCHAR, {declared})")
    held = {row[0] for row in con.execute(f"DESCRIBE {relation}").fetchall()}
    for name, kind in columns.items():
        if name not in held:
            con.execute(f"ALTER TABLE {relation} ADD COLUMN {quoted(name)} {kind}")
