"""The research catalogue: every table and variable of a release on one searchable page."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from linked_cyp import pages
from linked_cyp.contracts.model import Codeset
from linked_cyp.release.build import REKEYED
from linked_cyp.release.companions.codes import Values, values
from linked_cyp.release.companions.completeness import Completeness, columns_of, completeness
from linked_cyp.release.companions.examples import Example, documented, examples
from linked_cyp.release.companions.pictures import Picture, pictures
from linked_cyp.research.release import Release

# How a contract's domain is called on pages, and in which order.
DOMAINS: Mapping[str, str] = {
    "cohort": "Cohorts: tables made for a question",
    "several": "Children, homes and what several services know",
    "education": "Education",
    "social_care": "Children's social care",
    "health": "Health",
}
SPINE = "curated.child"
# Suppliers' fields named in a variable's entry before the rest is folded away.
FIELDS = 4
_SENTENCE = re.compile(r"(.+?[.!?])(?: |$)")
_GRAIN = re.compile(r"\s*Grain: (.+?)(?:\.(?= |$))", re.DOTALL)
_SOURCE = re.compile(r"\s*Sources?: (.+?)\.?$", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One variable as the page shows it. ``filled`` is a share, None where too small to show."""

    name: str
    type: str
    text: str
    source: str
    fields: tuple[str, ...]
    filled: float | None
    lists: tuple[Codeset, ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """One table as the page shows it (``schema.table``), with everything known of it."""

    name: str
    summary: str
    text: str
    grain: str
    source: str
    domain: str
    variables: tuple[Entry, ...]
    filling: Completeness
    picture: Picture | None
    examples: Sequence[Example]


def research_catalogue(release: Release, known: Sequence[Example] | None = None) -> str:
    """The page (HTML, one file).

    Args:
        known: example queries; by default those of ``docs/cohorts``.
    """
    found = sheets(release, documented() if known is None else known)
    groups = {
        title: chosen
        for domain, title in DOMAINS.items()
        if (chosen := [sheet for sheet in found if sheet.domain == domain])
    }
    lists = {c.name: c for sheet in found for entry in sheet.variables for c in entry.lists}
    script = _script()
    return pages.render(
        "release/companions/catalogue.html.j2",
        made=release.about["published_at"],
        about=release.about,
        citation=release.cite(),
        groups=groups,
        lists=[lists[name] for name in sorted(lists)],
        tables=len(found),
        variables=sum(len(sheet.variables) for sheet in found),
        folded=FIELDS,
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def sheets(release: Release, known: Sequence[Example]) -> list[Sheet]:
    """Every table of a release, in the order of its names."""
    filling = completeness(release)
    drawn = pictures(release)
    held = values(release)
    queries = examples(columns_of(release), known)
    domain_of = {
        feed: domain.split("/")[0]
        for feed, domain in release.query("SELECT feed, domain FROM provenance.contract").rows()
    }
    found = []
    for table, comment in release.tables().select("table", "description").rows():
        text, grain, source = parts(comment or "")
        rows = release.variables(table).rows(named=True)
        entries = tuple(_entry(table, row, filling[table], held) for row in rows)
        sentence = _SENTENCE.match(text)
        found.append(
            Sheet(
                name=table,
                summary=sentence[1] if sentence else text,
                text=text,
                grain=grain,
                source=source,
                domain=_domain(table, drawn, domain_of),
                variables=entries,
                filling=filling[table],
                picture=drawn.get(table),
                examples=queries[table],
            )
        )
    return found


def parts(comment: str) -> tuple[str, str, str]:
    """A description taken apart: what it says, what a row is, and who says so."""
    grain, source = _GRAIN.search(comment), _SOURCE.search(comment)
    text = _SOURCE.sub("", _GRAIN.sub("", comment)).strip()
    said = _SOURCE.sub("", grain[1]) if grain else ""
    return text, said, source[1] if source else ""


def _entry(
    table: str,
    row: Mapping[str, str | None],
    filling: Completeness,
    held: Mapping[tuple[str, str], Values],
) -> Entry:
    name = row["variable"] or ""
    source = row["definition_source"] or ""
    text = (row["description"] or "").replace(f" {REKEYED}", "")
    known = held.get((table, name), Values())
    return Entry(
        name=name,
        type=row["type"] or "",
        text=text.removesuffix(f" Source: {source}."),
        source=source,
        fields=tuple(f.strip() for f in (row["source_fields"] or "").split(";") if f.strip()),
        filled=filling.everything.filled.get(name),
        lists=known.lists,
        words=known.words,
    )


def _domain(
    table: str,
    drawn: Mapping[str, Picture],
    domain_of: Mapping[str, str],
    seen: frozenset[str] = frozenset(),
) -> str:
    """The one kind of service whose fields a table is made from, or those that it reads are."""
    if table.startswith("cohort."):
        return "cohort"
    if table not in drawn or table in seen:
        return "several"
    found = {domain_of[feed] for feed in drawn[table].feeds if feed in domain_of} & set(DOMAINS)
    if not found:
        others = set(drawn[table].reads) - {SPINE}
        found = {_domain(other, drawn, domain_of, seen | {table}) for other in others}
    return found.pop() if len(found) == 1 else "several"


@cache
def _script() -> str:
    return files(__package__).joinpath("catalogue.js").read_text(encoding="utf-8")
