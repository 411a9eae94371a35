"""The statement: what an encoded delivery says about itself, sealed by its supplier's key.

It is a file of the delivery (:data:`STATEMENT`), not of the manifest: so its content is part of
what names the delivery, and is archived and erased with it. It holds counts, names of tables,
columns and rules, and hashes; :func:`read` lets nothing else through.
"""

from __future__ import annotations

import hmac
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from linked_cyp.contracts.model import Contract, Table
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.expectations import Rule, contract_rules
from linked_cyp.expectations.suite import SAFE_METRICS, CheckOutcome
from linked_cyp.identity.comparisons import NULL_LEVEL, comparison_levels
from linked_cyp.identity.keys import Keys
from linked_cyp.ingest.landing import STATEMENT
from linked_cyp.ingest.ledger import TableCounts

FORMAT = "encoded"
LARGEST = 1 << 22  # bytes of a statement
_NAMES = ("forename", "surname")
# Rules by which readers set rows and files aside, besides `<column>__required` and `__format`.
ROW_RULES = ("row__blank", "row__duplicate", "key__unique")
FILE_RULES = (
    *("file__column_missing", "file__column_repeated", "file__doctype", "file__empty"),
    *("file__encoding", "file__malformed", "file__unrecognised"),
)
SCOPES = ("row", "cell", "file")
_METRICS = (*SAFE_METRICS, "missing_columns", "undeclared_columns")


class Refused(LinkedCypError):
    """An encoded delivery that cannot be taken; the message says why, without values."""


@dataclass(frozen=True)
class Problem:
    """Rows of one table that the supplier's reading set aside by one rule (a cell loses no row)."""

    table: str | None
    scope: str
    column: str | None
    rule: str
    rows: int
    findings: int


@dataclass(frozen=True)
class Statement:
    """What an encoded delivery says about itself.

    Attributes:
        key: fingerprint of the supplier's keys.
        encoding: :func:`linked_cyp.ingest.encoded.compatibility.encoding_version`.
        files: rows and SHA-256 by file name, this statement's own file left out.
        tables: rows received, accepted and quarantined by contract table.
        unassigned_rows: rows of files that belong to no table.
        checks: verdicts on the raw tables, reached where the clear values were.
        people: source persons whose names are known, for weighing ``name_agreement``.
        name_agreement: share of random pairs of them at each level, by name field.
    """

    feed: str
    supplier: str
    period: str
    contract_version: str
    contract_sha256: str
    encoding: str
    key: str
    files: Mapping[str, tuple[int, str]]
    tables: Mapping[str, TableCounts]
    unassigned_rows: int
    problems: tuple[Problem, ...]
    checks: Mapping[str, tuple[CheckOutcome, ...]]
    people: int
    name_agreement: Mapping[str, Mapping[str, float]]
    seal: str = ""

    def sealed(self, keys: Keys, purpose: str) -> Statement:
        """The same statement under a seal that only a holder of the key can make."""
        return replace(self, seal=keys.digest(purpose, self._content()).hex())

    def is_sealed(self, keys: Keys, purpose: str) -> bool:
        """Whether the seal is right."""
        return hmac.compare_digest(keys.digest(purpose, self._content()).hex(), self.seal)

    def to_json(self) -> str:
        return json.dumps(_plain(self), indent=1, sort_keys=True) + "\n"

    def _content(self) -> str:
        return json.dumps(_plain(replace(self, seal="")), sort_keys=True)


def _plain(statement: Statement) -> dict[str, Any]:
    kept = asdict(replace(statement, checks={}))
    kept["format"] = FORMAT
    kept["checks"] = {
        table: [
            {"name": o.name, "passed": o.passed, "severity": o.severity, "metrics": dict(o.metrics)}
            for o in outcomes
        ]
        for table, outcomes in statement.checks.items()
    }
    return kept


def clear_rules(table: Table, year: int, accepted: int) -> list[Rule]:
    """The rules on a raw table that only somebody who has the clear values can check."""
    return contract_rules(table, year, rows=accepted)


def read(content: bytes, contract: Contract) -> Statement:
    """Read a statement, letting through only what a statement can hold.

    Raises:
        Refused: it is not one of this contract's feed, or holds anything else.
    """
    if len(content) > LARGEST:
        raise Refused(f"{STATEMENT} is too long")
    try:
        held = json.loads(content)
        if held.pop("format") != FORMAT:
            raise Refused(f"{STATEMENT} is of another format")
        if held["feed"] != contract.feed:
            raise Refused(f"{STATEMENT} is of another feed than {contract.feed}")
        return _statement(held, contract)
    except Refused as refusal:
        reason = str(refusal)
    except (ValueError, KeyError, TypeError, AttributeError):
        reason = f"{STATEMENT} is not a statement of an encoded delivery"
    raise Refused(reason)


def _statement(held: dict[str, Any], contract: Contract) -> Statement:
    _only(held, set(Statement.__match_args__))
    year = contract.collection_year(str(held["period"]))
    tables = {_table(contract, name).name: _counts(c) for name, c in held["tables"].items()}
    for name, counts in tables.items():
        if counts.accepted + counts.quarantined != counts.received:
            raise Refused(f"{name}: accepted and quarantined rows are not the rows received")
    statement = Statement(
        feed=contract.feed,
        supplier=_word(held["supplier"]),
        period=str(held["period"]),
        contract_version=_word(held["contract_version"]),
        contract_sha256=_hex(held["contract_sha256"], 64),
        encoding=_hex(held["encoding"], 16),
        key=_hex(held["key"], 16),
        files={
            _word(name): (_count(rows), _hex(digest, 64))
            for name, (rows, digest) in held["files"].items()
        },
        tables=tables,
        unassigned_rows=_count(held["unassigned_rows"]),
        problems=tuple(_problem(contract, item) for item in held["problems"]),
        checks={
            name: _verdicts(contract, contract.tables[name], year, counts, held["checks"])
            for name, counts in _every(contract, tables).items()
        },
        people=_count(held["people"]),
        name_agreement=_agreement(held["name_agreement"]),
        seal=_hex(held["seal"], 64),
    )
    if set(held["checks"]) != set(contract.tables):
        raise Refused(f"{STATEMENT} does not hold the checks of every table")
    _reconcile(statement)
    return statement


def _reconcile(statement: Statement) -> None:
    """Rows counted by rule are the rows quarantined, table by table."""
    wanted = {name: counts.quarantined for name, counts in statement.tables.items()}
    wanted[""] = statement.unassigned_rows
    told = dict.fromkeys(wanted, 0)
    for problem in statement.problems:
        name = problem.table or ""
        told[name] = told.get(name, 0) + problem.rows
    if told != wanted:
        raise Refused("rows quarantined by rule do not add up to the rows quarantined")


def _every(contract: Contract, tables: Mapping[str, TableCounts]) -> dict[str, TableCounts]:
    return {name: tables.get(name, TableCounts()) for name in contract.tables}


def _verdicts(
    contract: Contract, table: Table, year: int, counts: TableCounts, checks: dict[str, Any]
) -> tuple[CheckOutcome, ...]:
    """The verdicts on a table: one for each of its rules, in their order."""
    rules = clear_rules(table, year, counts.accepted)
    given = {item["name"]: item for item in checks[table.name]}
    if list(given) != [rule.name for rule in rules] or len(given) != len(checks[table.name]):
        raise Refused(f"{table.name}: the checks are not those of the contract")
    found = []
    for rule in rules:
        item = given[rule.name]
        _only(item, {"name", "passed", "severity", "metrics"})
        if not isinstance(item["passed"], bool) or item["severity"] != rule.severity:
            raise Refused(f"{table.name}: {rule.name} has no verdict")
        metrics = {name: _number(value) for name, value in item["metrics"].items()}
        _only(metrics, set(_METRICS))
        if not item["passed"] and rule.severity == "error":
            raise Refused(f"{table.name}: {rule.name} failed where the clear values are")
        found.append(
            CheckOutcome(rule.name, item["passed"], rule.severity, rule.description, metrics)
        )
    return tuple(found)


def _problem(contract: Contract, item: dict[str, Any]) -> Problem:
    _only(item, set(Problem.__match_args__))
    table = None if item["table"] is None else _table(contract, item["table"])
    columns = {column.name for column in table.columns} if table else set()
    column, rule, scope = item["column"], item["rule"], item["scope"]
    known = {*ROW_RULES, *FILE_RULES}
    known |= {f"{name}__{what}" for name in columns for what in ("required", "format")}
    if scope not in SCOPES or rule not in known or not (column is None or column in columns):
        raise Refused(f"{STATEMENT} counts rows by a rule that there is not")
    return Problem(
        table.name if table else None,
        scope,
        column,
        rule,
        _count(item["rows"]),
        _count(item["findings"]),
    )


def _agreement(held: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Shares of pairs by level: every level has one, none is nought, and together they are all."""
    levels = comparison_levels()
    found: dict[str, dict[str, float]] = {}
    for field, shares in held.items():
        if field not in _NAMES or set(shares) != set(levels[field]) - {NULL_LEVEL, "twin"}:
            raise Refused(f"{STATEMENT} holds an agreement of names that there is not")
        found[field] = {level: float(_number(share)) for level, share in shares.items()}
        together = sum(found[field].values())
        if min(found[field].values()) <= 0 or not math.isclose(together, 1, abs_tol=0.01):
            raise Refused(f"{STATEMENT} holds a share that is none")
    return found


def _table(contract: Contract, name: Any) -> Table:
    if not isinstance(name, str) or name not in contract.tables:
        raise Refused(f"{STATEMENT} names a table that the contract does not declare")
    return contract.tables[name]


def _only(held: Mapping[str, Any], allowed: set[str]) -> None:
    if extra := len(set(held) - allowed):
        raise Refused(f"{STATEMENT} holds {extra} entries that no statement has")


def _counts(held: dict[str, Any]) -> TableCounts:
    _only(held, set(TableCounts.__match_args__))
    return TableCounts(**{name: _count(value) for name, value in held.items()})


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Refused(f"{STATEMENT} holds a count that is none")
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Refused(f"{STATEMENT} holds a number that is none")
    return value


def _hex(value: Any, digits: int) -> str:
    if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
        raise Refused(f"{STATEMENT} holds a hash that is none")
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9_.-]{1,100}", value):
        raise Refused(f"{STATEMENT} holds a name that is none")
    return value
