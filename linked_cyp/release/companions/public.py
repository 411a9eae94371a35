"""The public pages: what is held about children, why, and how to say no.

``public_children.html`` says it to children of about nine, ``public_families.html`` to young people
and parents. Both tell the same facts: feeds, treatments and opt-outs come from the contracts,
counts, dates and periods from the release, promises and contacts from ``organisation.yaml``, and
the words for all of it from ``plain_words.yaml``. Only the templates' own sentences are written
by hand; they say what the software does, whatever an installation declares.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from linked_cyp.contracts.facts import FeedWords, Words
from linked_cyp.contracts.house import is_about_persons
from linked_cyp.contracts.model import Column, Contract
from linked_cyp.contracts.plain_words import PlainWords
from linked_cyp.core.disclosure import SMALLEST, rounded
from linked_cyp.pages import render
from linked_cyp.release.companions.hdruk import children_in
from linked_cyp.release.project import Project
from linked_cyp.research.release import Release

if TYPE_CHECKING:
    from linked_cyp.release.companions import Setting

CHILDREN = "public_children.html"
FAMILIES = "public_families.html"
# What becomes of an identifier, from the least to the most that is taken away.
_OUTCOMES: Mapping[str, str] = {
    "keep": "Kept",
    "coarsen_month": "Only the month and the year are kept",
    "coarsen_year": "Only the year is kept",
    "coarsen_lsoa": "Swapped for a small area, where about 1,500 people live",
    "token": "Swapped for a code that only our computers can make",
    "drop": "Taken out",
}
# Who somebody is, by the linkage roles or kinds of identifier that say so.
_IDENTITIES: Mapping[str, frozenset[str]] = {
    "Your name": frozenset(
        {"forename", "middle_names", "surname", "former_surname", "preferred_surname"}
    ),
    "Your NHS number and your school's number for you": frozenset(
        {"nhs_number", "former_nhs_number", "nhs_number_hash", "upn", "former_upn", "uln"}
    ),
    "Your number at the council": frozenset({"la_child_id"}),
    "Your postcode": frozenset({"postcode"}),
    "Your date of birth": frozenset({"birth_date", "birth_month", "birth_year"}),
    "The date of a death": frozenset({"death_date"}),
    "Your sex and your ethnic group": frozenset({"sex", "ethnicity"}),
}
_OTHERS = "Your address, your numbers at hospitals, and which staff saw you"
# What a release without a cohort says of whom it holds.
_EVERYBODY = "everybody"
_TERMS = ("spring", "summer", "autumn")
_OFTEN: Mapping[str, str] = {
    "daily": "every day",
    "weekly": "every week",
    "monthly": "every month",
    "termly": "every term",
    "quarterly": "every three months",
    "annual": "every year",
}


@dataclass(frozen=True)
class FeedNotice:
    """One set of records. ``source`` wrote it and ``sender`` passed it on, empty if that is the
    same. ``children`` is a count to show, empty where none is known; ``latest`` the newest period
    held, in words, empty when nothing is held."""

    feed: str
    title: str
    words: FeedWords
    source: str
    sender: str
    often: str
    holds: Sequence[str]
    children: str
    latest: str
    legal_basis: str
    opt_outs: Sequence[str]


@dataclass(frozen=True)
class OptOutNotice:
    """One way to say no, with the records that it covers and those that it spares. ``refused`` says
    why the list was not used for this release, if so."""

    opt_out: str
    words: Words
    feeds: Sequence[str]
    spared: Sequence[str]
    left_out: str
    list_date: dt.date | None
    refused: str


@dataclass(frozen=True)
class ProjectNotice:
    """A project of the register. ``is_ours`` is the one this release was made for, the only one
    whose ``feeds`` are known here."""

    project: Project
    words: Words
    is_over: bool
    is_ours: bool
    feeds: Sequence[str]


def for_children(release: Release, setting: Setting) -> str:
    """The page for children, as HTML."""
    return _page("public_children.html.j2", release, setting)


def for_families(release: Release, setting: Setting) -> str:
    """The page for young people and parents, as HTML."""
    return _page("public_families.html.j2", release, setting)


def _page(template: str, release: Release, setting: Setting) -> str:
    contracts = {c.feed: c for c in setting.contracts.values() if is_about_persons(c)}
    feeds = _feeds(release, contracts, setting.words)
    held = [feed for feed in feeds if feed.latest]
    return render(
        f"release/companions/{template}",
        made=release.about["published_at"],
        release=release.about,
        organisation=setting.organisation,
        children=_counted(rounded(children_in(release))) if _is_of_everybody(release) else "",
        smallest=SMALLEST,
        areas=_by_area(held, contracts, setting.words),
        not_held=[feed for feed in feeds if not feed.latest],
        feeds=feeds,
        councils=_councils(release, contracts),
        treatments=treatments(contracts),
        has_withheld=any(
            c.withheld for t in contracts.values() for x in t.tables.values() for c in x.columns
        ),
        opt_outs=_opt_outs(release, contracts, setting.words),
        projects=_projects(release, contracts, setting),
        pages={"children": CHILDREN, "families": FAMILIES},
    )


def _is_of_everybody(release: Release) -> bool:
    """Whether the release's children are all of those held, so that their number says how many."""
    return release.about["cohort"] == _EVERYBODY and release.about["period_start"] is None


def treatments(contracts: Mapping[str, Contract]) -> list[tuple[str, str]]:
    """What says who somebody is, and what becomes of it: the least that any contract takes away."""
    found: dict[str, set[str]] = {}
    for contract in contracts.values():
        for table in contract.tables.values():
            for column in table.columns:
                if identity := _identity(column):
                    found.setdefault(identity, set()).add(_treatment(column))
    return [
        (identity, next(words for name, words in _OUTCOMES.items() if name in found[identity]))
        for identity in (*_IDENTITIES, _OTHERS)
        if identity in found
    ]


def _identity(column: Column) -> str | None:
    kind = column.linkage_role or column.identifier_type
    for identity, kinds in _IDENTITIES.items():
        if kind in kinds:
            return identity
    return _OTHERS if column.classification == "direct_identifier" else None


def _treatment(column: Column) -> str:
    coarse = {"birth_month": "coarsen_month", "birth_year": "coarsen_year"}
    kept = column.pseudonymisation == "keep"
    return coarse.get(column.linkage_role or "", "keep") if kept else column.pseudonymisation


def _feeds(
    release: Release, contracts: Mapping[str, Contract], words: PlainWords
) -> list[FeedNotice]:
    periods: dict[str, list[str]] = {}
    for feed, period in release.query(
        "SELECT DISTINCT feed, period FROM provenance.delivery WHERE status = 'accepted'"
    ).rows():
        periods.setdefault(feed, []).append(period)
    counted = dict(
        release.query("SELECT feed, persons FROM link_quality WHERE breakdown = 'all'").rows()
    )
    ordered = sorted(contracts.values(), key=lambda c: _order(words, c))
    return [
        FeedNotice(
            feed=contract.feed,
            title=contract.title,
            words=(said := words.feed(contract)),
            source=said.source or words.supplier(contract.supplier_kind),
            sender=words.supplier(contract.supplier_kind) if said.source else "",
            often=_OFTEN.get(contract.cadence, ""),
            holds=said.held(contract.tables),
            children=_counted(counted[contract.feed]) if contract.feed in counted else "",
            latest=_latest(contract, periods.get(contract.feed, [])),
            legal_basis=" ".join(contract.legal_basis.split()),
            opt_outs=[words.opt_outs[name].name for name in contract.opt_outs],
        )
        for contract in ordered
    ]


def _order(words: PlainWords, contract: Contract) -> tuple[int, int, str]:
    """By heading, then by rank; what has none comes last."""
    headings = list(words.areas)
    heading = headings.index(contract.domain) if contract.domain in headings else len(headings)
    return heading, contract.source_rank or sys.maxsize, contract.feed


def _counted(count: int | None) -> str:
    """A count of the release, which is rounded, or nothing where it is suppressed."""
    return f"fewer than {SMALLEST}" if count is None else f"{count:,}"


def _by_area(
    feeds: Sequence[FeedNotice], contracts: Mapping[str, Contract], words: PlainWords
) -> list[tuple[str, str, list[FeedNotice]]]:
    """Headings with the part of life they are about (for the picture) and their feeds."""
    found: dict[str, tuple[str, list[FeedNotice]]] = {}
    for feed in feeds:
        contract = contracts[feed.feed]
        part = "growing" if contract.domain.endswith("growth") else contract.domain.split("/")[0]
        found.setdefault(words.area(contract), (part, []))[1].append(feed)
    return [(heading, part, listed) for heading, (part, listed) in found.items()]


def _latest(contract: Contract, periods: Sequence[str]) -> str:
    """The newest period, as people write it: ``the school year 2024 to 2025``."""
    if not periods:
        return ""
    year, _, part = max(periods, key=_moment).partition("-")
    match contract.period_kind:
        case "financial_year":
            return f"the year to March {year}"
        case "academic_year":
            return f"the school year {int(year) - 1} to {year}"
        case "academic_term":
            return f"the {part} term of {year}"
        case "month":
            return f"{dt.date(int(year), int(part), 1):%B %Y}"
        case "snapshot":
            return f"{dt.date.fromisoformat(f'{year}-{part}'):%-d %B %Y}"
    return year


def _moment(period: str) -> tuple[str, str]:
    """Periods in the order of time, which terms are not in by name."""
    year, _, part = period.partition("-")
    return year, str(_TERMS.index(part)) if part in _TERMS else part


def _councils(release: Release, contracts: Mapping[str, Contract]) -> list[str]:
    """The local authorities whose records are held."""
    feeds = [c.feed for c in contracts.values() if c.supplier_kind == "local_authority"]
    names = release.query(
        "SELECT DISTINCT supplier FROM provenance.delivery WHERE status = 'accepted'"
        " AND list_contains(?, feed) ORDER BY ALL",
        [feeds],
    )["supplier"]
    return [name.replace("_", " ").title() for name in names]


def _opt_outs(
    release: Release, contracts: Mapping[str, Contract], words: PlainWords
) -> list[OptOutNotice]:
    used = {
        row["opt_out"]: row for row in release.query("FROM provenance.opt_out").rows(named=True)
    }
    found = []
    for name, said in words.opt_outs.items():
        row = used.get(name, {})
        left_out = row.get("records_left_out")
        feeds = {words.feed(c).name for c in contracts.values() if name in c.opt_outs}
        if feeds:
            found.append(
                OptOutNotice(
                    opt_out=name,
                    words=said,
                    feeds=sorted(feeds),
                    spared=sorted({words.feed(c).name for c in contracts.values()} - feeds),
                    left_out=_counted(left_out) if row.get("is_applied") else "",
                    list_date=row.get("list_date"),
                    refused="" if row.get("is_applied", True) else row.get("because") or "",
                )
            )
    return found


def _projects(
    release: Release, contracts: Mapping[str, Contract], setting: Setting
) -> list[ProjectNotice]:
    """The register, those that still run first."""
    read = set(
        release.query(
            "SELECT DISTINCT split_part(from_table, '__', 1) AS feed"
            " FROM provenance.column_lineage WHERE from_zone = 'pseudonymised'"
        )["feed"]
    )
    today = release.about["published_at"].date()
    found = [
        ProjectNotice(
            project=project,
            words=setting.words.projects.get(name)
            or Words(children=project.purpose, families=project.purpose, name=project.title),
            is_over=project.expiry < today,
            is_ours=name == release.about["project"],
            feeds=sorted(setting.words.feed(c).name for c in contracts.values() if c.feed in read)
            if name == release.about["project"]
            else (),
        )
        for name, project in setting.projects.items()
    ]
    return sorted(found, key=lambda notice: (notice.is_over, notice.project.title))
