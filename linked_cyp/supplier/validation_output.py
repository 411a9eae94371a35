"""A validation report on the screen, as a page for people and as a CSV to sort and filter.

They hold file names, tables, rules and row numbers. Values are in the CSV only, and only where the
report was made with them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from linked_cyp.dfe_rules.delivery import RuleFailures
from linked_cyp.pages import render, write_page
from linked_cyp.supplier.validation import ValidationReport

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as Grid

ROWS_SHOWN = 40
COLUMNS = ("file", "table", "row", "rule", "severity", "fields", "message")


def show(report: ValidationReport, console: Console) -> None:
    """Print a report for people."""
    from rich.markup import escape
    from rich.table import Table as Grid

    console.print(f"[bold]{escape(report.title)}[/bold], collection year {report.year}")
    for file in report.files:
        tables = ", ".join(file.tables) or "not recognised"
        line = f"  {file.file}: {tables}, {file.rows:,} rows, {file.encoding or 'unknown encoding'}"
        console.print(escape(line), highlight=False)
        for names, what in ((file.undeclared, "not declared"), (file.out_of_force, "not in force")):
            if names:
                console.print(escape(f"    columns {what}: {', '.join(names)}"), style="dim")
    if report.findings:
        grid = Grid("", "file", "table", "column", "rule", "times", "first rows", "meaning")
        for f in report.findings:
            colour = "red" if f.severity == "error" else "yellow"
            grid.add_row(
                f"[{colour}]{f.severity}[/{colour}]",
                escape(f.file),
                f.table or "",
                escape(f.written or f.column or ""),
                f.rule,
                f"{f.count:,}",
                ", ".join(map(str, f.row_numbers)),
                escape(f.message),
            )
        console.print(grid)
    if report.failures:
        console.print(_failing_rules(report.failures, Grid("", "rule", "table", "rows", "meaning")))
    if report.rules_run:
        failed = len({f.code for f in report.failures})
        console.print(
            f"{failed:,} of {report.rules_run:,} rules of the Department for Education fail; "
            f"{len(report.rules_waiting):,} could not run.",
            highlight=False,
        )
    verdict = "[green]Nothing" if not report.refused else f"[red]{report.refused:,}"
    console.print(f"{verdict}[/] of {report.rows:,} rows would be refused.", highlight=False)


def _failing_rules(failures: Sequence[RuleFailures], grid: Grid) -> Grid:
    from rich.markup import escape

    counts: dict[tuple[str, str, str, str], int] = {}
    for f in failures:
        place = (f.severity, f.code, f.table, f.message)
        counts[place] = counts.get(place, 0) + f.count
    for (severity, code, table, message), rows in sorted(counts.items()):
        colour = "red" if severity == "error" else "yellow"
        grid.add_row(f"[{colour}]{severity}[/]", code, table, f"{rows:,}", escape(message))
    return grid


@dataclass(frozen=True)
class RuleTotal:
    """One rule over the whole return: rows by table, and the first of them by file."""

    code: str
    severity: str
    message: str
    fields: tuple[str, ...]
    rows: int
    places: tuple[tuple[str, str, int, str], ...]


def totals(report: ValidationReport) -> tuple[RuleTotal, ...]:
    """The rules that failed, errors first, then those with most rows.

    A place is a file, a table, its number of rows and the first row numbers as text.
    """
    rules: dict[str, list[int]] = {}
    for index, failure in enumerate(report.failures):
        rules.setdefault(failure.code, []).append(index)
    found = []
    for code, indices in rules.items():
        failures = [report.failures[i] for i in indices]
        found.append(
            RuleTotal(
                code,
                failures[0].severity,
                failures[0].message,
                failures[0].fields,
                sum(f.count for f in failures),
                tuple((f.file, f.table, f.count, numbered(f.row_numbers)) for f in failures),
            )
        )
    return tuple(sorted(found, key=lambda t: (t.severity, -t.rows, t.code)))


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


def write_report(report: ValidationReport, folder: Path) -> tuple[Path, Path]:
    """Write ``validation.html`` and ``validation.csv`` for their owner's eyes only.

    Args:
        folder: where to; it is made if missing, and files of the same name are replaced.

    Returns:
        The page and the CSV.
    """
    page = write_page(
        render("supplier/validation_report.html.j2", report=report, totals=totals(report)),
        folder / "validation.html",
    )
    return page, write_page(as_csv(report), folder / "validation.csv")


def as_csv(report: ValidationReport) -> str:
    """One line for each row that fails each rule, then the contract's own findings.

    A finding of the contract has its first rows only; its count is in the report.
    """
    with_values = any(failure.values for failure in report.failures)
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow([*COLUMNS, "values"] if with_values else COLUMNS)
    for line, value in _lines(report):
        lines.writerow([*map(_inert, line), _inert(value)] if with_values else map(_inert, line))
    return text.getvalue()


def _lines(report: ValidationReport) -> Iterator[tuple[Sequence[str], str]]:
    for f in report.failures:
        values = f.values or ("",) * f.count
        for row, value in zip(f.row_numbers or ("",), values, strict=True):
            line = (f.file, f.table, str(row), f.code, f.severity, " ".join(f.fields), f.message)
            yield line, value
    for finding in report.findings:
        for row in finding.row_numbers or ("",):
            written = finding.written or finding.column or ""
            where = (finding.file, finding.table or "", str(row), finding.rule)
            yield (*where, finding.severity, written, finding.message), ""


def _inert(text: str) -> str:
    """Text that a spreadsheet shows and does not run."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
