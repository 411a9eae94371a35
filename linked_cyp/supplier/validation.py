"""What a supplier would want to know before sending: every problem by file, table, row and rule.

The same reading and judging as ingest, in memory, without a store or a key; then the contract's
own rules on what was read (codes in force, identifier formats, ranges, references), and for the
returns that have them the Department for Education's rules. A report holds names, rules, row
numbers and counts; a value only where it was asked for.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb

from linked_cyp.contracts.model import Contract, Table, in_force, load_contracts
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import literal, quoted
from linked_cyp.dfe_rules import has_rules
from linked_cyp.dfe_rules.delivery import (
    RuleFailures,
    RulesRun,
    Tables,
    check_delivery,
    keep_as_last_year,
)
from linked_cyp.ingest.landing import data_files
from linked_cyp.ingest.readers import (
    SourceFile,
    Staged,
    StagedTable,
    likeliest_feed,
    stage_delivery,
)
from linked_cyp.ingest.readers.staging import HARMLESS, PROBLEMS, problem_counts

if TYPE_CHECKING:
    from linked_cyp.expectations import Rule

ROWS_SHOWN = 10
Severity = Literal["error", "warning"]

_MESSAGES: Mapping[str, str] = {
    "row__structure": "does not have the header's columns: a quote left open, or a missing or "
    "extra delimiter",
    "row__blank": "is empty",
    "row__duplicate": "repeats an earlier row exactly",
    "key__unique": "has the key of an earlier row but says something else",
    "file__unrecognised": "The header is not that of any table of this return",
    "file__column_missing": "A required column is missing",
    "file__column_repeated": "A column occurs twice",
    "file__encoding": "The text is neither UTF-8, UTF-16 nor Windows-1252",
    "file__empty": "The file is empty",
    "file__malformed": "The XML is not well formed",
    "file__doctype": "The XML has a document type declaration, which is not accepted",
}


@dataclass(frozen=True)
class Finding:
    """One rule broken in one column of one file.

    ``column`` is our name, ``written`` the supplier's. ``count`` is how often; ``row_numbers``
    are the first few data rows (1 is the row after the header; in XML the n-th of that table's
    elements). An ``error`` means rows are refused, a ``warning`` that they are taken as they are
    or with the value blanked.
    """

    file: str
    table: str | None
    column: str | None
    written: str | None
    rule: str
    severity: Severity
    count: int
    row_numbers: tuple[int, ...]
    message: str


@dataclass(frozen=True)
class FileSummary:
    file: str
    tables: tuple[str, ...]
    encoding: str | None
    rows: int
    undeclared: tuple[str, ...] = ()
    out_of_force: tuple[str, ...] = ()


@dataclass(frozen=True)
class ValidationReport:
    """The report on a file or a folder; ``acceptable`` when nothing in it would be refused.

    ``failures`` are of the Department's rules, which never refuse a row: ``rules_run`` counts
    those that ran, ``rules_waiting`` names those that lacked a table, last year's return or facts
    that are not in a return (postcode distances, Ofsted's providers).
    """

    feed: str
    title: str
    year: int
    files: tuple[FileSummary, ...]
    rows: int
    refused: int
    findings: tuple[Finding, ...] = field(default=())
    failures: tuple[RuleFailures, ...] = field(default=())
    rules_run: int = 0
    rules_waiting: tuple[str, ...] = ()

    @property
    def acceptable(self) -> bool:
        return not any(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"acceptable": self.acceptable}, indent=2)


def validate_path(
    path: Path,
    contracts_folder: Path,
    *,
    feed: str | None = None,
    year: int | None = None,
    last: Path | None = None,
    values: bool = False,
) -> ValidationReport:
    """Validate a file, or the files of a folder, as one delivery.

    Args:
        path: a file or a folder. Required tables are asked for only of a folder.
        contracts_folder: where the contracts are.
        feed: which return it is; by default found from headers and XML roots.
        year: collection year; by default the financial year of today.
        last: last year's return, for the rules that compare with it.
        values: whether failures of the Department's rules carry the values they are about.

    Raises:
        LinkedCypError: nothing to read, or no feed given and none recognised.
    """
    contracts = load_contracts(contracts_folder)
    files = _files(path)
    if feed is not None and feed not in contracts:
        raise LinkedCypError(f"there is no feed {feed}; there are {', '.join(contracts)}")
    contract = contracts[feed] if feed else likeliest_feed(contracts.values(), files)
    if contract is None:
        raise LinkedCypError("the files are of no return we know; name it with --feed")
    return validate(
        contract,
        files,
        year or _this_year(date.today()),
        whole=path.is_dir(),
        last=_files(last) if last else (),
        values=values,
    )


def _files(path: Path) -> list[SourceFile]:
    paths = [path] if path.is_file() else data_files(path)
    if not paths:
        raise LinkedCypError("there are no files to validate")
    return [SourceFile(index, p.name, p) for index, p in enumerate(paths)]


def validate(
    contract: Contract,
    files: Sequence[SourceFile],
    year: int,
    *,
    whole: bool = True,
    last: Sequence[SourceFile] = (),
    values: bool = False,
) -> ValidationReport:
    """Validate files against a contract at a collection year.

    Args:
        whole: the files are all there is, so a required table must be among them.
        last: last year's return, for the Department's rules that compare with it.
        values: whether failures of the Department's rules carry the values they are about.

    Raises:
        LinkedCypError: reading failed for a reason that is not the files'.
    """
    names = {file.index: file.name for file in files}
    by_department = has_rules(contract.feed, year)
    run = RulesRun((), 0, ())
    # a return is small: a second thread would cost more than it does
    with (
        tempfile.TemporaryDirectory(prefix="linked-cyp-") as folder,
        duckdb.connect(config={"threads": 1}) as con,
    ):
        con.execute("SET temp_directory = ''")  # nothing is kept: no spill without a key
        before: Tables | None = None
        if last and by_department:
            with stage_delivery(con, contract, last, Path(folder), year - 1) as staged:
                before = keep_as_last_year(con, staged)
        with (
            value_free("validating"),
            stage_delivery(con, contract, files, Path(folder), year) as staged,
        ):
            counts = [problem_counts(con, name) for name in staged.tables]
            findings = _problems(con, staged, names)
            findings += _broken_rules(con, staged, names, year)
            findings += _absent(staged) if whole else []
            if by_department:
                run = check_delivery(con, staged, names, year, before, values=values)
            rows = sum(result.rows for result in staged.files)
            unassigned = sum(r.unassigned for r in staged.files)
            refused = sum(c["rows"] + c["file_rows"] for c in counts) + unassigned
            summaries = tuple(
                FileSummary(
                    names[r.index], r.tables, r.encoding, r.rows, r.undeclared, r.out_of_force
                )
                for r in staged.files
            )
    order = {"error": 0, "warning": 1}
    findings.sort(key=lambda f: (f.file, order[f.severity], f.table or "", f.column or "", f.rule))
    return ValidationReport(
        contract.feed,
        contract.title,
        year,
        summaries,
        rows,
        refused,
        tuple(findings),
        run.failures,
        run.ran,
        run.waiting,
    )


def _problems(
    con: duckdb.DuckDBPyConnection, staged: Staged, names: Mapping[int, str]
) -> list[Finding]:
    """What reading set aside or blanked."""
    rows = con.execute(
        "SELECT source_file, table_name, column_name, rule, scope, "
        "CASE WHEN scope = 'file' THEN sum(rows) ELSE count(*) END, "
        f"list(row_number ORDER BY row_number)[:{ROWS_SHOWN}] FROM {PROBLEMS} "
        "GROUP BY source_file, table_name, column_name, rule, scope ORDER BY 1, 2, 3, 4"
    ).fetchall()
    return [
        Finding(
            names.get(index, ""),
            table,
            column,
            _written(staged, table, column),
            rule,
            "warning" if scope == "cell" or rule in (*HARMLESS, "file__empty") else "error",
            int(count),
            tuple(n for n in numbers or () if n is not None),
            _message(rule, _written(staged, table, column), scope),
        )
        for index, table, column, rule, scope, count, numbers in rows
    ]


def _written(staged: Staged, table: str | None, column: str | None) -> str | None:
    """The supplier's name of a column."""
    if table is None or column is None:
        return None
    return staged.contract.tables[table].column(column).physical_name


def _message(rule: str, column: str | None, scope: str) -> str:
    known = _MESSAGES.get(rule)
    if known:
        return f"The row {known}." if scope == "row" else f"{known}."
    if rule.endswith("__required"):
        return f"{column} is missing; the row is refused."
    blanked = "the value is left out" if scope == "cell" else "the row is refused"
    return f"{column} cannot be read as its type; {blanked}."


def _absent(staged: Staged) -> list[Finding]:
    read = {name for result in staged.files if not result.rule for name in result.tables}
    return [
        Finding("", t.name, None, None, "table__required", "error", 1, (), f"{t.name} is missing.")
        for t in staged.in_force.tables.values()
        if t.required and t.name not in read
    ]


def _broken_rules(
    con: duckdb.DuckDBPyConnection, staged: Staged, names: Mapping[int, str], year: int
) -> list[Finding]:
    """The contract's rules about values, by row."""
    from linked_cyp.expectations import contract_rules
    from linked_cyp.identity.macros import create_macros

    create_macros(con)
    findings = []
    for item in staged.tables.values():
        for rule in contract_rules(item.table, year):
            if not set(rule.columns) <= set(item.present) or rule.kind in ("unique", "not_null"):
                continue
            breach = _breach(rule, staged)
            if breach is None:
                continue
            for index, count, numbers in con.execute(_breaking_rows(item, breach)).fetchall():
                findings.append(
                    Finding(
                        names.get(index, ""),
                        item.table.name,
                        rule.columns[-1],
                        item.table.column(rule.columns[-1]).physical_name,
                        rule.name,
                        "warning",
                        int(count),
                        tuple(numbers),
                        _expected(rule, item.table, year),
                    )
                )
    return findings


def _breaking_rows(item: StagedTable, breach: str) -> str:
    return (
        f"SELECT source_file, count(*), list(row_number ORDER BY row_number)[:{ROWS_SHOWN}] "
        f"FROM {item.relation} AS s WHERE {breach} GROUP BY source_file"
    )


def _breach(rule: Rule, staged: Staged) -> str | None:
    """SQL that is true where a row breaks a rule; None for rules not about rows."""
    columns = [f"s.{quoted(name)}" for name in rule.columns]
    given = rule.arguments
    match rule.kind:
        case "in_set" if given["values"]:
            return f"{columns[0]} NOT IN ({', '.join(map(_sql, given['values']))})"
        case "between":
            bounds = (("<", given["minimum"]), (">", given["maximum"]))
            parts = [f"{columns[0]} {sign} {_sql(b)}" for sign, b in bounds if b is not None]
            return f"({' OR '.join(parts)})" if parts else None
        case "matches":
            return f"NOT regexp_matches({columns[0]}, {literal(given['pattern'])})"
        case "satisfies":
            return f"{columns[0]} IS NOT NULL AND NOT {given['predicate']}({columns[0]})"
        case "exists_in":
            parent = staged.tables.get(given["table"].split("__", 1)[1])
            if parent is None or not set(given["to_columns"]) <= set(parent.present):
                return None
            filled = " AND ".join(f"{c} IS NOT NULL" for c in columns)
            pairs = zip(columns, given["to_columns"], strict=True)
            same = " AND ".join(f"{c} = p.{quoted(to)}" for c, to in pairs)
            return f"{filled} AND NOT EXISTS (FROM {parent.relation} AS p WHERE {same})"
    return None


def _expected(rule: Rule, table: Table, year: int) -> str:
    column = table.column(rule.columns[-1])
    old = [c for c in (column.codeset.codes if column.codeset else ()) if not in_force(c, year)]
    if rule.kind == "in_set" and old:
        return f"Expected: {rule.description} ({len(old)} codes of other years are not.)"
    return f"Expected: {rule.description}"


def _sql(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, date):
        return f"{'TIMESTAMP' if hasattr(value, 'hour') else 'DATE'} '{value.isoformat()}'"
    return literal(str(value))


def _this_year(today: date) -> int:
    return today.year + 1 if today.month >= 4 else today.year
