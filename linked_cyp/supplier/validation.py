"""What a supplier would want to know before sending: every problem by file, table, row and rule.

The same reading and judging as ingest, in memory, without a store or a key; then the contract's
own rules on what was read (codes in force, identifier formats, ranges, references), and for the
returns that have them the Department for Education's rules. A report holds names, rules, row
numbers and counts; values and children's ids only where they were asked for.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb

from linked_cyp.contracts.model import (
    Contract,
    Table,
    load_codesets,
    load_contract,
    load_contracts,
)
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
from linked_cyp.dfe_rules.rules import definitions, feeds_with_rules
from linked_cyp.ingest import gone, losses, refusals
from linked_cyp.ingest.landing import data_files
from linked_cyp.ingest.readers import (
    SourceFile,
    Staged,
    StagedTable,
    likeliest_feed,
    stage_delivery,
)
from linked_cyp.ingest.readers.conform import TEXT_PREFIX
from linked_cyp.ingest.readers.staging import HARMLESS, PROBLEMS, REPEATED, problem_counts
from linked_cyp.ingest.reasons import Reason
from linked_cyp.supplier import wording
from linked_cyp.supplier.collection_year import CollectionYear, agreed_year, found_year

if TYPE_CHECKING:
    from linked_cyp.expectations import Rule

Severity = Literal["error", "warning"]
# What tells whose a row is, the best first.
_CHILD_ROLES = ("la_child_id", "nhs_number", "upn")


@dataclass(frozen=True)
class Finding:
    """One rule broken in one column of one file.

    ``table`` and ``written`` are the supplier's names, ``column`` is ours. ``count`` is how often;
    ``row_numbers`` are all the data rows (1 is the row after the header; in XML the n-th of that
    table's elements). An ``error`` stops rows, a file or the return; with a ``warning`` rows are
    taken as they are, once, or with the value left out. ``is_fatal``: the whole return is refused
    for it. ``expected``, ``advice`` and ``codes`` (code and label) are for the person who puts it
    right.
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
    expected: str = ""
    advice: str = ""
    codes: tuple[tuple[str, str], ...] = ()
    is_fatal: bool = False


@dataclass(frozen=True)
class FileSummary:
    """``tables`` are the supplier's names of what the file was recognised as."""

    file: str
    tables: tuple[str, ...]
    encoding: str | None
    rows: int
    undeclared: tuple[str, ...] = ()
    out_of_force: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportedRow:
    """One row of the return that a report speaks of.

    ``element`` is its place in an XML file. ``child`` and ``values`` (by the supplier's column
    names) only where values were asked for.
    """

    file: str
    table: str
    number: int
    element: str = ""
    child: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ValidationReport:
    """The report on a file or a folder; ``acceptable`` when nothing in it would be refused, no
    row and no file.

    ``rows`` is how many were read; ``refused`` of them would be set aside, ``left_out`` are empty
    or repeat another, and ``rows_found`` have at least one of the ``found`` findings (a row that
    breaks two rules is two). ``failures`` are of the Department's rules, which never refuse a row:
    ``rules_run`` counts those that ran, ``rules_waiting`` says what each other lacks. ``reported``
    has the rows with a finding, and where values were asked for every row of a child with one.
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
    rules_waiting: Mapping[str, str] = field(default_factory=dict)
    left_out: int = 0
    reason: str = ""
    notes: tuple[str, ...] = ()
    reported: tuple[ReportedRow, ...] = ()
    with_values: bool = False

    @property
    def acceptable(self) -> bool:
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def is_refused(self) -> bool:
        """Whether the return would be refused as a whole, for what it holds itself."""
        return any(finding.is_fatal for finding in self.findings)

    @property
    def found(self) -> int:
        """How many findings there are, each row of each rule counted."""
        return sum(f.count for f in self.findings) + sum(f.count for f in self.failures)

    @property
    def rows_found(self) -> int:
        """How many rows have a finding."""
        return len(_rows_found(self.findings, self.failures))

    @property
    def no_rules(self) -> str:
        """Why none of the Department's rules ran, where there are some for this return."""
        if self.rules_run or self.feed not in feeds_with_rules():
            return ""
        first, last = definitions(self.feed).years
        if not first <= self.year <= last:
            return (
                f"None of the Department's rules ran: they are known for the collections of "
                f"{first} to {last}, and this return is checked for {self.year}."
            )
        return "None of the Department's rules ran: none of the tables they need is there."

    def to_json(self) -> str:
        """The report without its rows, as a machine reads it."""
        shown = asdict(replace(self, reported=()))
        return json.dumps(shown | {"acceptable": self.acceptable}, indent=2)


def validate_path(
    path: Path,
    contracts_folder: Path,
    *,
    feed: str | None = None,
    year: int | None = None,
    last: Path | None = None,
    values: bool = False,
    postcodes: Path | None = None,
) -> ValidationReport:
    """Validate a file, or the files of a folder, as one delivery.

    Args:
        path: a file or a folder. Required tables are asked for only of a folder.
        contracts_folder: where the contracts are.
        feed: which return it is; by default found from headers and XML roots.
        year: collection year; by default the one that the return says it is of.
        last: last year's return, for the rules that compare with it.
        values: whether the report carries children's ids and the values of their rows.
        postcodes: the postcode directory as published, for the rules about where children are
            placed; without it they do not run.

    Raises:
        LinkedCypError: nothing to read, no feed given and none recognised, ``year`` or ``last``
            contradict what the files say, or ``postcodes`` is no such directory.
    """
    return validate_files(
        _contracts(contracts_folder, feed),
        _files(path),
        feed=feed,
        year=year,
        whole=path.is_dir(),
        last=_files(last) if last else (),
        last_whole=last is not None and last.is_dir(),
        values=values,
        postcodes=postcodes,
    )


def _contracts(folder: Path, feed: str | None) -> Mapping[str, Contract]:
    """The contract of the return that is named, else all: reading them all takes a while."""
    path = folder / f"{feed}.odcs.yaml"
    if feed is None or not path.is_file():
        return load_contracts(folder)
    return {feed: load_contract(path, load_codesets(folder / "codesets"))}


def validate_files(
    contracts: Mapping[str, Contract],
    files: Sequence[SourceFile],
    *,
    feed: str | None = None,
    year: int | None = None,
    whole: bool = True,
    last: Sequence[SourceFile] = (),
    last_whole: bool = True,
    values: bool = False,
    postcodes: Path | None = None,
) -> ValidationReport:
    """Validate files as one delivery of whichever feed they are of; see :func:`validate_path`."""
    if feed is not None and feed not in contracts:
        raise LinkedCypError(f"there is no feed {feed}; there are {', '.join(contracts)}")
    contract = contracts[feed] if feed else likeliest_feed(contracts.values(), files)
    if contract is None:
        raise LinkedCypError("the files are of no return we know; name it with --feed")
    with tempfile.TemporaryDirectory(prefix="linked-cyp-") as folder:
        work, today = Path(folder), date.today()
        taken = agreed_year(year, found_year(contract, files, work, today), whole)
        if last:
            _must_be_last_year(contract, last, taken, work, last_whole)
    report = validate(
        contract, files, taken.year, whole=whole, last=last, values=values, postcodes=postcodes
    )
    return replace(report, reason=taken.reason)


def _must_be_last_year(
    contract: Contract, last: Sequence[SourceFile], taken: CollectionYear, work: Path, whole: bool
) -> None:
    if likeliest_feed([contract], last) is None:
        raise LinkedCypError(
            f"what was given as last year's return is not read as {contract.title}: none of its "
            "files has the names of its columns"
        )
    before = found_year(contract, last, work, date.today())
    agreed_year(
        taken.year - 1,
        before,
        whole,
        "what was given as last year's return",
        "give the return of the year before",
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
    postcodes: Path | None = None,
) -> ValidationReport:
    """Validate files against a contract at a collection year.

    Args:
        whole: the files are all there is, so a required table must be among them.
        last: last year's return, for the Department's rules that compare with it.
        values: whether the report carries children's ids and the values of their rows.
        postcodes: the postcode directory as published, for the rules about where children are
            placed.

    Raises:
        LinkedCypError: reading failed for a reason that is not the files', or there is no such
            postcode directory.
    """
    by_department = has_rules(contract.feed, year)
    places = _places(postcodes) if postcodes and by_department else None
    # a return is small: a second thread would cost more than it does
    with (
        tempfile.TemporaryDirectory(prefix="linked-cyp-") as folder,
        duckdb.connect(config={"threads": 1}) as con,
    ):
        con.execute("SET temp_directory = ''")  # nothing is kept: no spill without a key
        before: Tables | None = None
        if last and by_department:
            with stage_delivery(con, contract, last, Path(folder), year - 1) as staged:
                before = _last_year(con, staged, {file.index: file.name for file in last})
        with (
            value_free("validating"),
            stage_delivery(con, contract, files, Path(folder), year) as staged,
        ):
            known = None if places is None else con.from_arrow(places)
            return _report(con, staged, files, year, before, whole, by_department, values, known)


def _places(directory: Path) -> Any:
    """Postcode (without a blank) and local authority of a directory, as an Arrow table."""
    from linked_cyp.pseudonymise.reference import load_postcodes

    places = load_postcodes(directory).select("postcode", "la_code")
    return places.with_columns(places["postcode"].str.replace_all(" ", "")).to_arrow()


def _last_year(con: duckdb.DuckDBPyConnection, staged: Staged, names: Mapping[int, str]) -> Tables:
    refused = [names[result.index] for result in staged.files if result.rule]
    if refused:
        raise LinkedCypError(
            f"last year's return cannot be read: {', '.join(refused)}; "
            "check it by itself to see why, or leave it out"
        )
    return keep_as_last_year(con, staged)


def _report(
    con: duckdb.DuckDBPyConnection,
    staged: Staged,
    files: Sequence[SourceFile],
    year: int,
    before: Tables | None,
    whole: bool,
    by_department: bool,
    values: bool,
    places: duckdb.DuckDBPyRelation | None,
) -> ValidationReport:
    contract = staged.contract
    names = {file.index: file.name for file in files}
    judged = {name: problem_counts(con, name) for name in staged.tables}
    counts = judged.values()
    findings = _problems(con, staged, names)
    findings += _broken_rules(con, staged, names, year)
    findings += _refusals(con, staged, files, judged, whole)
    findings.sort(key=lambda f: (f.severity, f.file, f.table or "", f.column or "", f.rule))
    run = RulesRun((), 0, {})
    if by_department:
        run = check_delivery(con, staged, names, year, before, values=values, postcodes=places)
    unassigned = sum(r.unassigned for r in staged.files)
    left_out = sum(c["harmless"] for c in counts)
    return ValidationReport(
        feed=contract.feed,
        title=contract.title,
        year=year,
        files=_summaries(staged, names),
        rows=sum(result.rows for result in staged.files),
        refused=sum(c["rows"] + c["file_rows"] for c in counts) + unassigned - left_out,
        findings=tuple(findings),
        failures=run.failures,
        rules_run=run.ran,
        rules_waiting=run.waiting,
        left_out=left_out,
        reported=_reported(con, staged, names, _rows_found(findings, run.failures), values),
        with_values=values,
    )


def _summaries(staged: Staged, names: Mapping[int, str]) -> tuple[FileSummary, ...]:
    tables = staged.contract.tables
    return tuple(
        FileSummary(
            names[r.index],
            tuple(tables[t].physical_name for t in r.tables),
            r.encoding,
            r.rows,
            r.undeclared,
            tuple(_written_in(tables.values(), r.tables, name) for name in r.out_of_force),
        )
        for r in staged.files
    )


def _written_in(tables: Iterable[Table], among: Sequence[str], name: str) -> str:
    """The supplier's name of one of our columns in the tables of a file."""
    columns = (c for table in tables if table.name in among for c in table.columns)
    return next((c.physical_name for c in columns if c.name == name), name)


def _rows_found(
    findings: Iterable[Finding], failures: Iterable[RuleFailures]
) -> set[tuple[str, str, int]]:
    """Every row with a finding, by file, table and number."""
    both: list[Finding | RuleFailures] = [*findings, *failures]
    return {(f.file, f.table or "", n) for f in both for n in f.row_numbers}


def child_column(table: Table) -> str | None:
    """Our name of the column that says whose a row is."""
    by_role = {c.linkage_role: c.name for c in reversed(table.columns) if c.linkage_role}
    return next((by_role[role] for role in _CHILD_ROLES if role in by_role), None)


def _reported(
    con: duckdb.DuckDBPyConnection,
    staged: Staged,
    names: Mapping[int, str],
    found: set[tuple[str, str, int]],
    values: bool,
) -> tuple[ReportedRow, ...]:
    """The rows that a report speaks of, in the order of the files."""
    rows: list[ReportedRow] = []
    for item in staged.tables.values():
        table = item.table.physical_name
        of_child = child_column(item.table) is not None
        places = {names[index]: elements for index, elements in item.elements.items()}
        mine = {(file, n): ReportedRow(file, table, n) for file, t, n in found if t == table}
        if values:
            mine |= _with_values(con, item, names, mine)
        for (file, number), row in mine.items():
            element = places[file].place(number, child=of_child) if file in places else ""
            rows.append(replace(row, element=element))
    if values:
        children = {row.child for row in rows if (row.file, row.table, row.number) in found}
        rows = [
            row
            for row in rows
            if (row.file, row.table, row.number) in found or (row.child and row.child in children)
        ]
    return tuple(sorted(rows, key=lambda row: (row.file, row.table, row.number)))


def _with_values(
    con: duckdb.DuckDBPyConnection,
    item: StagedTable,
    names: Mapping[int, str],
    mine: Mapping[tuple[str, int], ReportedRow],
) -> dict[tuple[str, int], ReportedRow]:
    """All rows of a table as they were written."""
    columns = [item.table.column(name) for name in item.present]
    texts = [quoted(c.name if c.type == "string" else TEXT_PREFIX + c.name) for c in columns]
    name = child_column(item.table)
    place = item.present.index(name) if name in item.present else None
    written = [c.physical_name for c in columns]
    found = {}
    for index, number, *told in con.execute(
        f"SELECT {', '.join(['source_file', 'row_number', *texts])} FROM {item.relation}"
    ).fetchall():
        found[names[index], number] = ReportedRow(
            names[index],
            item.table.physical_name,
            number,
            child=told[place] or "" if place is not None else "",
            values={w: t or "" for w, t in zip(written, told, strict=True)},
        )
    return found


def _problems(
    con: duckdb.DuckDBPyConnection, staged: Staged, names: Mapping[int, str]
) -> list[Finding]:
    """What reading set aside or blanked."""
    rows = con.execute(
        "SELECT source_file, table_name, column_name, rule, scope, "
        "CASE WHEN scope = 'file' THEN sum(rows) ELSE count(*) END, "
        f"list(row_number ORDER BY row_number) FILTER (row_number NOTNULL) FROM {PROBLEMS} "
        "WHERE rule NOT LIKE '%\\_\\_codes' ESCAPE '\\' "  # told by the contract's own rules
        "GROUP BY source_file, table_name, column_name, rule, scope ORDER BY 1, 2, 3, 4"
    ).fetchall()
    results = {result.index: result for result in staged.files}
    findings = []
    for index, table, column, rule, scope, count, numbers in rows:
        of = staged.contract.tables.get(table)
        told = of.column(column) if of and column else None
        words = wording.of_reading(staged.contract, of, told, rule, scope)
        refused = range(1, int(count) + 1) if scope == "file" else ()
        harmless = scope == "cell" or rule in (*HARMLESS, REPEATED, "file__empty")
        fatal = scope == "file" and refusals.is_fatal(staged.contract, results[index], names[index])
        findings.append(
            Finding(
                names.get(index, ""),
                of.physical_name if of else None,
                column,
                told.physical_name if told else None,
                rule,
                "warning" if harmless else "error",
                max(int(count), 1),
                tuple(numbers or refused),
                words.message,
                words.expected,
                words.advice,
                is_fatal=fatal,
            )
        )
    return findings


def _refusals(
    con: duckdb.DuckDBPyConnection,
    staged: Staged,
    files: Sequence[SourceFile],
    judged: Mapping[str, Mapping[str, int]],
    whole: bool,
) -> list[Finding]:
    """What would refuse the return as a whole, as ingest asks it, but for files that are refused
    themselves: those, and what their tables lack therefore, are told beside."""
    columns = losses.column_counts(con, staged)
    reasons = [
        *refusals.structure(staged, files, whole=whole),
        *refusals.contents(con, staged, columns, judged),
        *losses.repeats(con, staged),
        *gone.of_itself(staged, columns),
    ]
    refused = {result.index for result in staged.files if result.rule}
    lacking = {name for result in staged.files if result.rule for name in result.tables}
    names = {file.index: file.name for file in files}
    return [
        _refusal(staged.contract, reason, names)
        for reason in reasons
        if reason.file not in refused and (not reason.table or reason.table.name not in lacking)
    ]


def _refusal(contract: Contract, reason: Reason, names: Mapping[int, str]) -> Finding:
    words = wording.of_refusal(contract, reason)
    return Finding(
        names[reason.file] if reason.file is not None else "",
        reason.table.physical_name if reason.table else None,
        reason.column.name if reason.column else None,
        reason.column.physical_name if reason.column else None,
        *(reason.rule, "error", 1, ()),
        *(words.message, words.expected, words.advice),
        is_fatal=True,
    )


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
            for index, numbers in con.execute(_breaking_rows(item, breach)).fetchall():
                findings.append(_broken(item.table, rule, staged, year, names[index], numbers))
    return findings


def _broken(
    table: Table, rule: Rule, staged: Staged, year: int, file: str, numbers: Sequence[int]
) -> Finding:
    parent = staged.contract.tables.get(str(rule.arguments.get("table", "")).partition("__")[2])
    words = wording.of_rule(rule, table, parent, year)
    column = table.column(rule.columns[-1])
    return Finding(
        file,
        table.physical_name,
        column.name,
        column.physical_name,
        rule.name,
        "warning",
        len(numbers),
        tuple(numbers),
        words.message,
        words.expected,
        words.advice,
        words.codes,
    )


def _breaking_rows(item: StagedTable, breach: str) -> str:
    return (
        f"SELECT source_file, list(row_number ORDER BY row_number) FROM {item.relation} AS s "
        f"WHERE {breach} GROUP BY source_file"
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


def _sql(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, date):
        return f"{'TIMESTAMP' if hasattr(value, 'hour') else 'DATE'} '{value.isoformat()}'"
    return literal(str(value))
