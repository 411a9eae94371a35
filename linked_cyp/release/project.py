"""A project's declaration: who may see what, why, on what legal basis, and until when."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.release.selection import Cohort, Period, condition_problem

ALL = "all"
ZONES = ("curated", "cohort")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TEXTS = ("project", "title", "purpose", "legal_basis", "approver")
KNOWN = {*_TEXTS, "expiry", "tables", "known_problems", "cohort", "period"}


@dataclass(frozen=True)
class Project:
    """One project. ``tables`` maps ``zone.table`` to its columns, or to None for all of them.

    ``cohort`` and ``period`` are None where everybody, or any time, is meant.
    """

    name: str
    title: str
    purpose: str
    legal_basis: str
    approver: str
    expiry: dt.date
    tables: Mapping[str, tuple[str, ...] | None]
    known_problems: tuple[str, ...]
    declaration_hash: str
    cohort: Cohort | None = None
    period: Period | None = None

    def refusals(self, today: dt.date) -> list[str]:
        """Why nothing may be released to this project today (empty when it may)."""
        reasons = []
        if not self.legal_basis:
            reasons.append(f"project {self.name} has no legal basis on record")
        if not self.approver:
            reasons.append(f"project {self.name} has no approver on record")
        if self.expiry < today:
            reasons.append(f"project {self.name} expired on {self.expiry:%d %B %Y}")
        return reasons


def load_project(folder: Path, name: str) -> Project:
    """Read ``<folder>/<name>.yaml``.

    Raises:
        LinkedCypError: there is no such project, or its declaration is incomplete.
    """
    if not _NAME.fullmatch(name):
        raise LinkedCypError("a project's name is written in lower case letters, digits and _")
    path = folder / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(projects(folder)) or "none"
        raise LinkedCypError(f"there is no project {name}; known projects: {known}")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        raise LinkedCypError(f"{path.name} is not valid YAML") from None
    if not isinstance(document, dict):
        raise LinkedCypError(f"{path.name} is not a project declaration")
    problems = list(_problems(document, name))
    if problems:
        raise LinkedCypError(f"{path.name}: " + "; ".join(problems))
    return _project(document)


def projects(folder: Path) -> list[str]:
    """The names of the projects declared in a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _problems(document: Mapping[str, Any], name: str) -> Iterator[str]:
    for key in sorted(set(document) - KNOWN, key=str):
        yield f"unknown entry {key}"
    if document.get("project") != name:
        yield f"project is not {name}, as the file is named"
    for key in ("title", "purpose"):
        if not str(document.get(key) or "").strip():
            yield f"{key} is missing"
    if not isinstance(document.get("expiry"), dt.date):
        yield "expiry must be a date such as 2030-03-31"
    yield from _cohort_problems(document.get("cohort"))
    yield from _period_problems(document.get("period"))
    tables = document.get("tables")
    if not isinstance(tables, dict) or not tables:
        yield "tables is missing: a release holds only what is named"
        return
    for table, columns in tables.items():
        zone, _, rest = str(table).partition(".")
        if zone not in ZONES or not _NAME.fullmatch(rest):
            yield f"{table}: tables are named curated.<table> or cohort.<table>"
        listed = isinstance(columns, list) and columns and all(isinstance(c, str) for c in columns)
        if columns != ALL and not listed:
            yield f"{table}: name the columns, or say all"
        elif listed and len(set(columns)) != len(columns):
            yield f"{table}: a column is named twice"


def _cohort_problems(cohort: Any) -> Iterator[str]:
    if cohort is None:
        return
    if not isinstance(cohort, dict) or set(cohort) - {"description", "table", "where"}:
        yield "cohort has a description, a table and perhaps a where, and nothing else"
        return
    zone, _, rest = str(cohort.get("table")).partition(".")
    if zone not in ZONES or not _NAME.fullmatch(rest):
        yield "cohort: name its table as curated.<table> or cohort.<table>"
    if not str(cohort.get("description") or "").strip():
        yield "cohort has no description"
    problem = condition_problem(str(cohort["where"])) if cohort.get("where") else None
    if problem:
        yield f"cohort: where {problem}"


def _period_problems(period: Any) -> Iterator[str]:
    if period is None:
        return
    days = [period.get(k) for k in ("from", "to")] if isinstance(period, dict) else []
    first, last = days or (None, None)
    if not (isinstance(first, dt.date) and isinstance(last, dt.date) and first <= last):
        yield "period has a first day `from` and a last day `to`, such as 2024-04-01"


def _project(document: Mapping[str, Any]) -> Project:
    texts = {key: " ".join(str(document.get(key) or "").split()) for key in _TEXTS}
    canonical = json.dumps(document, sort_keys=True, default=str, ensure_ascii=True)
    return Project(
        name=texts["project"],
        title=texts["title"],
        purpose=texts["purpose"],
        legal_basis=texts["legal_basis"],
        approver=texts["approver"],
        expiry=document["expiry"],
        tables={
            table: None if columns == ALL else tuple(columns)
            for table, columns in document["tables"].items()
        },
        known_problems=tuple(str(p) for p in document.get("known_problems") or ()),
        declaration_hash=hashlib.sha256(canonical.encode()).hexdigest(),
        cohort=_cohort(document.get("cohort")),
        period=_period(document.get("period")),
    )


def _cohort(declared: Mapping[str, str] | None) -> Cohort | None:
    if declared is None:
        return None
    text = " ".join(declared["description"].split())
    return Cohort(text, declared["table"], str(declared.get("where") or ""))


def _period(declared: Mapping[str, dt.date] | None) -> Period | None:
    return Period(declared["from"], declared["to"]) if declared else None
