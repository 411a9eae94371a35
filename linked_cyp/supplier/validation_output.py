"""A validation report on the screen, as a page for people and as a CSV to sort and filter.

What stops the return comes first, then the Department's errors, then warnings. Screen and page
hold file names, tables, rules and row numbers. Children's ids and values are in the CSV and on a
page by child, and only where the report was made with them.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from linked_cyp.dfe_rules.delivery import RuleFailures
from linked_cyp.dfe_rules.rules import codes_expected, definitions, feeds_with_rules, has_rules
from linked_cyp.pages import render, write_page
from linked_cyp.supplier import wording
from linked_cyp.supplier.validation import Finding, ReportedRow, ValidationReport

if TYPE_CHECKING:
    from rich.console import Console

ROWS_SHOWN = 40
# More codes than these fill the screen; the page lists them all.
CODES_SHOWN = 12
COLUMNS = (
    *("file", "table", "row", "element", "rule", "severity", "fields", "message"),
    *("expected", "to_do"),
)
Kind = Literal["stops", "rows", "error", "warning"]
KINDS: Mapping[Kind, str] = {
    "stops": "What stops the return",
    "rows": "Rows and files that would not be taken",
    "error": "The Department's errors",
    "warning": "Warnings",
}
_SCRIPT = Path(__file__).with_name("children.js")


@dataclass(frozen=True)
class Place:
    """Where a rule fails: ``shown`` are the first rows as people write them."""

    file: str
    table: str
    rows: int
    shown: str


@dataclass(frozen=True)
class Item:
    """One rule over the whole return, with everything a person needs to act on it.

    ``rule`` is the Department's code, or our own name of a check; ``rows`` counts its findings.
    """

    kind: Kind
    rule: str
    anchor: str
    message: str
    fields: tuple[str, ...]
    expected: str
    codes: wording.Codes
    advice: str
    rows: int
    places: tuple[Place, ...]

    @property
    def by_department(self) -> bool:
        return self.anchor.startswith("rule-")

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(place.table for place in self.places if place.table))


def items(report: ValidationReport) -> tuple[Item, ...]:
    """The rules that are broken: what stops the return, the Department's errors, warnings; of
    each those with most rows first."""
    elements = {(r.file, r.table, r.number): r.element for r in report.reported if r.element}
    order = list(KINDS)
    found = [*_of_findings(report.findings, elements), *_of_department(report, elements)]
    return tuple(sorted(found, key=lambda i: (order.index(i.kind), -i.rows, i.rule)))


def _of_findings(
    findings: Iterable[Finding], elements: Mapping[tuple[str, str, int], str]
) -> Iterator[Item]:
    groups: dict[tuple[Kind, str, str, str], list[Finding]] = {}
    for f in findings:
        groups.setdefault((_kind(f), f.rule, f.table or "", f.message), []).append(f)
    for number, ((kind, rule, table, message), same) in enumerate(groups.items(), start=1):
        yield Item(
            kind,
            rule,
            f"check-{number}",
            message,
            tuple(filter(None, (same[0].written,))),
            same[0].expected,
            same[0].codes,
            same[0].advice,
            sum(f.count for f in same),
            tuple(Place(f.file, table, f.count, _shown(f, elements)) for f in same),
        )


def _kind(f: Finding) -> Kind:
    if f.is_fatal:
        return "stops"
    return "rows" if f.severity == "error" else "warning"


def _of_department(
    report: ValidationReport, elements: Mapping[tuple[str, str, int], str]
) -> Iterator[Item]:
    known = has_rules(report.feed, report.year)
    codes = codes_expected(report.feed, report.year) if known else {}
    groups: dict[str, list[RuleFailures]] = {}
    for failure in report.failures:
        groups.setdefault(failure.code, []).append(failure)
    for code, same in groups.items():
        expected = codes.get(code, ())
        yield Item(
            _severity(same[0].severity),
            code,
            f"rule-{code}",
            same[0].message,
            tuple(dict.fromkeys(same[0].fields)),
            f"one of the codes of {report.year}" if expected else "",
            expected,
            wording.of_department(same[0].severity),
            sum(f.count for f in same),
            tuple(Place(f.file, f.table, f.count, _shown(f, elements)) for f in same),
        )


def _shown(f: Finding | RuleFailures, elements: Mapping[tuple[str, str, int], str]) -> str:
    rows = [n for n in f.row_numbers[:ROWS_SHOWN] if (f.file, f.table or "", n) in elements]
    if not rows:
        return numbered(f.row_numbers)
    more = len(f.row_numbers) - len(rows)
    text = "; ".join(elements[f.file, f.table or "", n] for n in rows)
    return f"{text} and {more:,} more" if more > 0 else text


def counted(findings: int) -> str:
    return f"{findings:,} finding{'' if findings == 1 else 's'}"


def numbered(rows: Sequence[int]) -> str:
    """Row numbers as people write them: runs joined, the first forty."""
    if not rows:
        return "the whole return"
    runs: list[list[int]] = []
    for row in rows[:ROWS_SHOWN]:
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    shown = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in runs)
    more = len(rows) - ROWS_SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


def show(report: ValidationReport, console: Console) -> None:
    """Print a report for people."""
    from rich.markup import escape

    console.print(f"[bold]{escape(report.title)}[/bold], collection year {report.year}")
    if report.reason:
        console.print(escape(f"  {report.reason}"), style="dim", highlight=False)
    for file in report.files:
        tables = ", ".join(file.tables) or "not recognised"
        line = f"  {file.file}: {tables}, {file.rows:,} rows, {file.encoding or 'unknown encoding'}"
        console.print(escape(line), highlight=False)
        for names, what in ((file.undeclared, "not declared"), (file.out_of_force, "not in force")):
            if names:
                console.print(escape(f"    columns {what}: {', '.join(names)}"), style="dim")
    broken = items(report)
    for kind, title in KINDS.items():
        mine = [item for item in broken if item.kind == kind]
        if mine:
            console.print(f"\n[bold {'yellow' if kind == 'warning' else 'red'}]{title}[/]")
        for item in mine:
            _show_item(item, console)
    if report.rules_waiting:
        console.print("\n[bold]Rules that did not run[/]")
    for code, reason in report.rules_waiting.items():
        console.print(escape(f"  Rule {code} {reason}"), style="dim", highlight=False)
    console.print()
    for line in verdict(report):
        console.print(escape(line), highlight=False)


def _show_item(item: Item, console: Console) -> None:
    from rich.markup import escape
    from rich.padding import Padding

    name = f"Rule {item.rule}" if item.by_department else ", ".join(item.fields) or item.rule
    where = f"{', '.join(item.tables)}, " if item.tables else ""
    console.print(f"  [bold]{escape(name)}[/] {escape(where)}{counted(item.rows)}", highlight=False)
    lines = [item.message]
    if item.expected:
        few = item.codes if len(item.codes) <= CODES_SHOWN else ()
        codes = "; ".join(f"{code} {label}".strip() for code, label in few)
        lines.append(f"Expected: {item.expected}{f': {codes}' if codes else ''}.")
    lines += [f"{p.file or 'The return'}, {p.shown}" for p in item.places if p.file]
    for line in lines:
        console.print(Padding(escape(line), (0, 0, 0, 4)), highlight=False)


def verdict(report: ValidationReport) -> tuple[str, ...]:
    """The figures in sentences."""
    lines = [
        f"{report.rows:,} rows read; {report.refused:,} would be refused and {report.left_out:,} "
        "left out because they are empty or repeat another.",
        f"{report.rows_found:,} rows have a finding; there are {report.found:,} findings.",
    ]
    if report.rules_run:
        failed = len({f.code for f in report.failures})
        lines.append(
            f"{failed:,} of {report.rules_run:,} rules of the Department for Education fail; "
            f"{len(report.rules_waiting):,} could not run."
        )
    elif report.no_rules:
        lines.append(report.no_rules)
    return (*lines, *report.notes, _last_word(report))


def _last_word(report: ValidationReport) -> str:
    if report.is_refused:
        return "The return would be refused as a whole."
    if not report.acceptable:
        return f"The return would be taken without {rows_in_words(report.refused)}."
    errors = len({f.code for f in report.failures if f.severity == "error"})
    if errors:
        return (
            f"Nothing stops the return here, but it breaks {errors:,} of the Department's errors."
        )
    return "Nothing stops the return."


def rows_in_words(rows: int) -> str:
    return f"{rows:,} of its rows" if rows != 1 else "one of its rows"


def write_report(report: ValidationReport, folder: Path) -> tuple[Path, ...]:
    """Write ``validation.html`` and ``validation.csv`` for their owner's eyes only.

    With values also ``children.html``, the same by child.

    Args:
        folder: where to; it is made if missing, and files of the same name are replaced.

    Returns:
        The page, the CSV and the page by child.
    """
    page = write_page(as_page(report), folder / "validation.html")
    lines = write_page(as_csv(report), folder / "validation.csv")
    if not report.with_values:
        return page, lines
    return page, lines, write_page(as_children(report), folder / "children.html")


def as_page(report: ValidationReport) -> str:
    """The report as one page without any value of the return."""
    return render(
        "supplier/validation_report.html.j2",
        report=report,
        items=items(report),
        kinds=KINDS,
        verdict=verdict(report),
        by_department=report.feed in feeds_with_rules(),
    )


@dataclass(frozen=True)
class ChildTable:
    """One table's rows of a child: for each row its place, and each field with its rules."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...], tuple[str, ...]], ...]


@dataclass(frozen=True)
class Child:
    """A child with a finding: its rows in every table, and what is wrong with them."""

    name: str
    findings: int
    tables: tuple[ChildTable, ...]
    rules: tuple[tuple[str, str], ...]


def as_children(report: ValidationReport) -> str:
    """The report by child: a page with the values of the return, for the officer alone."""
    script = _SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render(
        "supplier/children.html.j2",
        report=report,
        children=children(report),
        script=script,
        digest=digest,
    )


def children(report: ValidationReport) -> tuple[Child, ...]:
    """The children with a finding, those with most first."""
    faults = _faults(report)
    messages = {f.rule: f.message for f in report.findings}
    messages |= {f.code: f.message for f in report.failures}
    rows: dict[str, dict[str, list[ReportedRow]]] = {}
    for row in report.reported:
        rows.setdefault(row.child, {}).setdefault(row.table, []).append(row)
    found = []
    for name, tables in rows.items():
        mine = [faults.get((r.file, r.table, r.number), {}) for t in tables.values() for r in t]
        rules = dict.fromkeys(rule for of_row in mine for rule in of_row)
        found.append(
            Child(
                name or "Rows without a child's id",
                sum(len(of_row) for of_row in mine),
                tuple(_child_table(t, of_table, faults) for t, of_table in tables.items()),
                tuple((wording.short(rule), messages[rule]) for rule in rules),
            )
        )
    return tuple(sorted(found, key=lambda c: (-c.findings, c.name)))


_Faults = Mapping[tuple[str, str, int], Mapping[str, tuple[str, ...]]]


def _faults(report: ValidationReport) -> _Faults:
    """By row, the rules it breaks, each with the fields it is about in lower case."""
    aliases: dict[str, str] = {}
    if report.feed in feeds_with_rules():
        for layout in definitions(report.feed).tables.values():
            aliases |= {known.lower(): name.lower() for name, known in layout.aliases.items()}
    faults: dict[tuple[str, str, int], dict[str, tuple[str, ...]]] = {}
    for f in report.findings:
        for n in f.row_numbers:
            about = (f.written.lower(),) if f.written else ()
            faults.setdefault((f.file, f.table or "", n), {})[f.rule] = about
    for failure in report.failures:
        fields = [name.lower() for name in failure.fields]
        fields += [aliases[name] for name in fields if name in aliases]
        for n in failure.row_numbers:
            faults.setdefault((failure.file, failure.table, n), {})[failure.code] = tuple(fields)
    return faults


def _child_table(name: str, rows: Sequence[ReportedRow], faults: _Faults) -> ChildTable:
    columns = tuple(dict.fromkeys(column for row in rows for column in row.values))
    shown = []
    for row in rows:
        mine = faults.get((row.file, row.table, row.number), {})
        fields = tuple(
            (row.values.get(c, ""), tuple(r for r, about in mine.items() if c.lower() in about))
            for c in columns
        )
        placed = {rule for _, rules in fields for rule in rules}
        of_row = tuple(wording.short(rule) for rule in mine if rule not in placed)
        fields = tuple((value, tuple(map(wording.short, rules))) for value, rules in fields)
        shown.append((f"{row.file}, {row.element or f'row {row.number}'}", fields, of_row))
    return ChildTable(name, columns, tuple(shown))


def as_csv(report: ValidationReport) -> str:
    """One line for each row that fails each rule: every refused row, every failing row.

    With values the child's id leads each line and the values of the rule's fields end it. A
    finding about the whole return has no row.
    """
    rows = {(r.file, r.table, r.number): r for r in report.reported}
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow(("child", *COLUMNS, "values") if report.with_values else COLUMNS)
    for line in _lines(report, rows):
        lines.writerow(map(_inert, line if report.with_values else line[1:-1]))
    return text.getvalue()


def _lines(
    report: ValidationReport, rows: Mapping[tuple[str, str, int], ReportedRow]
) -> Iterator[Sequence[str]]:
    """Every line with the child's id and the values, in the order of the page."""
    codes = codes_expected(report.feed, report.year) if report.failures else {}
    everything: list[Finding | RuleFailures] = [*report.failures, *report.findings]
    order = list(KINDS)
    everything.sort(
        key=lambda f: order.index(_kind(f) if isinstance(f, Finding) else _severity(f.severity))
    )
    for f in everything:
        yield from _lines_of(f, rows, codes)


def _severity(severity: str) -> Kind:
    return "error" if severity == "error" else "warning"


def _lines_of(
    f: Finding | RuleFailures,
    rows: Mapping[tuple[str, str, int], ReportedRow],
    codes: Mapping[str, wording.Codes],
) -> Iterator[Sequence[str]]:
    if isinstance(f, Finding):
        rule, fields, expected, advice = f.rule, f.written or "", f.expected, f.advice
        valid, values = f.codes, ("",) * len(f.row_numbers)
    else:
        rule, fields, expected = f.code, " ".join(f.fields), ""
        advice, valid = wording.of_department(f.severity), codes.get(f.code, ())
        values = f.values or ("",) * len(f.row_numbers)
    if valid:
        expected = "one of " + "; ".join(f"{c} {label}".strip() for c, label in valid)
    for number, value in zip(f.row_numbers, values, strict=True):
        row = rows.get((f.file, f.table or "", number))
        if isinstance(f, Finding) and row and f.written and f.written in row.values:
            value = f"{f.written}={row.values[f.written]}"
        child, element = (row.child, row.element) if row else ("", "")
        where = (child, f.file, f.table or "", str(number), element)
        yield (*where, rule, f.severity, fields, f.message, expected, advice, value)
    if not f.row_numbers:
        where = ("", f.file, f.table or "", "", "")
        yield (*where, rule, f.severity, fields, f.message, expected, advice, "")


def _inert(text: str) -> str:
    """Text that a spreadsheet shows and does not run."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
