"""A supplier's scorecard: how good what it delivers is, by feed and period, and what to mend first.

Every fact of :mod:`linked_cyp.supplier.scorecard_facts` is held against the supplier's own period
before and the median of the other suppliers. No value of a record is shown, and no small number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

from linked_cyp.contracts.model import Contract
from linked_cyp.core import disclosure
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.dfe_rules.checks import published
from linked_cyp.pages import percent, render, write_page
from linked_cyp.stores.door import Stores
from linked_cyp.supplier import wording
from linked_cyp.supplier.scorecard_facts import (
    About,
    Delivered,
    column_of,
    deliveries,
    refusals,
)

FOLDER = Path("reports") / "scorecards"
LEAST_OTHERS = 3  # fewer other suppliers say nothing, and would be known by it
SLACK = 0.02  # how far a share may lie below what it is held against
MENDS_SHOWN, PERIODS_SHOWN, LINES_SHOWN = 8, 4, 40


class Measure(NamedTuple):
    """Its category after Kahn et al. (2016), its name, what its parts are, and how much a bad row
    of them weighs.

    Parts of a ``held`` measure are to be mended where they lie below the period before or below
    the others; of the rest every bad row is.
    """

    category: str
    name: str
    parts: str = ""
    weight: float = 0
    held: bool = True


MEASURES: Mapping[str, Measure] = {
    "taken": Measure("Completeness", "Rows that could be taken", "Rows set aside", 3, False),
    "link_keys": Measure("Completeness", "Link keys filled and valid", "Link keys", 3),
    "schools": Measure("Completeness", "Link keys filled, schools", "Link keys by school"),
    "critical": Measure("Completeness", "Critical elements filled", "Critical elements", 2),
    "readable": Measure("Conformance", "Values that could be read"),
    "codes": Measure("Conformance", "Codes in force"),
    "formats": Measure("Conformance", "Values written as the contract says"),
    "keys": Measure("Conformance", "Keys unique and found in the other table"),
    "ranges": Measure("Plausibility", "Values within their bounds"),
    "dfe": Measure("Plausibility", "The Department's rules", "The Department's rules", 0.5, False),
}


@dataclass(frozen=True)
class Line:
    """A fact of the newest delivery beside the period before and the median of the others.

    ``is_hidden``: shown beside the other parts, it would give a small number away.
    """

    name: str
    measure: Measure
    advice: str
    bad: int
    whole: int
    rounded_share: float | None
    before: float | None
    others: float | None
    is_hidden: bool = False

    @property
    def share(self) -> float | None:
        return None if self.is_hidden else self.rounded_share

    @property
    def gap(self) -> float:
        """How far it lies below the better of the two it is held against; what nobody delivers
        (a column of another term) is not behind."""
        if self.share == self.others == 0.0:
            return 0.0
        against = max((s for s in (self.before, self.others) if s is not None), default=0.0)
        return max(against - self.share, 0.0) if self.share is not None else 0.0

    @property
    def is_low(self) -> bool:
        return self.gap > SLACK

    @property
    def weight(self) -> float:
        if self.measure.held:
            return self.measure.weight * self.gap * self.whole if self.is_low else 0.0
        return self.measure.weight * self.bad

    @property
    def rows(self) -> str:
        return "some" if self.is_hidden else disclosure.shown(self.bad)

    @property
    def told(self) -> str:
        if not self.measure.held:
            return f"{self.rows} rows: {self.name.removesuffix('.')}"
        held = ((self.before, "in the period before"), (self.others, "elsewhere (median)"))
        against = [f"{percent(share, 0)} {where}" for share, where in held if share is not None]
        return f"{self.name}: {percent(self.share, 0)} filled, {', '.join(against)}"


@dataclass(frozen=True)
class Card:
    """One feed of a supplier: its deliveries, the newest first, and the others' of that period."""

    contract: Contract
    delivered: tuple[Delivered, ...]
    others: tuple[Delivered, ...]

    @property
    def newest(self) -> Delivered:
        return self.delivered[0]

    @property
    def others_days(self) -> int | None:
        days = [d.days for d in self.others]
        return round(median(days)) if len(days) >= LEAST_OTHERS else None

    def line(self, measure: str, about: About = ()) -> Line:
        part = self.newest.facts[measure][about]
        others = [s for d in self.others if (s := d.share(measure, about)) is not None]
        return Line(
            *_words(self.contract, measure, about),
            bad=part.bad,
            whole=part.whole,
            rounded_share=part.share,
            before=self.delivered[1].share(measure, about) if len(self.delivered) > 1 else None,
            others=round(median(others), 2) if len(others) >= LEAST_OTHERS else None,
        )

    def lines(self, measure: str) -> list[Line]:
        """The parts of a measure, the worst first; of those not held, the bad ones."""
        found = [self.line(measure, about) for about in self.newest.facts.get(measure, ()) if about]
        lines = [line for line in found if line.bad or line.measure.held]
        lines.sort(key=lambda line: (-line.bad, line.name))
        bad = [line.bad for line in lines]
        hidden = disclosure.hidden(sum(bad), bad)
        return [
            replace(line, is_hidden=i in hidden and line.bad >= disclosure.SMALLEST)
            for i, line in enumerate(lines)
        ]


def write_scorecards(
    stores: Stores, contracts: Mapping[str, Contract], supplier: str | None = None
) -> dict[str, Path]:
    """Write the page of one supplier or of all, for their owner's eyes only; paths by supplier.

    Raises:
        LinkedCypError: nothing was ever delivered by the supplier.
    """
    with value_free("making scorecards"), stores.connect(identifiable="ro") as con:
        everything, refused = deliveries(con, contracts), refusals(con)
    suppliers = sorted({d.supplier for d in everything} | {s for s, *_ in refused})
    if supplier is not None and supplier not in suppliers:
        known = ", ".join(suppliers) or "nobody"
        raise LinkedCypError(f"{supplier} delivered nothing; there are deliveries of {known}")
    folder = stores.settings.home / FOLDER
    return {
        name: write_page(page(name, contracts, everything, refused), folder / f"{name}.html")
        for name in suppliers
        if supplier in (None, name)
    }


def page(
    supplier: str,
    contracts: Mapping[str, Contract],
    everything: Iterable[Delivered],
    refused: Iterable[tuple[str, str, str, int]] = (),
) -> str:
    """The scorecard of one supplier as one page."""
    made = cards(supplier, contracts, list(everything))
    return render(
        "supplier/scorecard.html.j2",
        supplier=supplier,
        cards=made,
        mends=mends(made)[:MENDS_SHOWN],
        refused=[(contracts[f].title, p, n) for s, f, p, n in refused if s == supplier],
        measures=MEASURES,
        periods_shown=PERIODS_SHOWN,
        lines_shown=LINES_SHOWN,
        days=_days,
        shown=disclosure.shown,
    )


def cards(
    supplier: str, contracts: Mapping[str, Contract], everything: Iterable[Delivered]
) -> list[Card]:
    """A supplier's feeds, by their titles."""
    own: dict[str, list[Delivered]] = {}
    for delivered in everything:
        if delivered.supplier == supplier:
            own.setdefault(delivered.feed, []).append(delivered)
    made = [
        Card(contracts[feed], tuple(mine), tuple(_others(mine[0], everything)))
        for feed, mine in own.items()
    ]
    return sorted(made, key=lambda card: card.contract.title)


def _others(newest: Delivered, everything: Iterable[Delivered]) -> Iterable[Delivered]:
    same = (newest.feed, newest.period)
    return (d for d in everything if (d.feed, d.period) == same and d.supplier != newest.supplier)


def mends(made: Iterable[Card]) -> list[tuple[Card, Line]]:
    """What to put right in the newest deliveries, the most pressing first."""
    found = [
        (card, line)
        for card in made
        for measure in MEASURES
        for line in card.lines(measure)
        if line.weight
    ]
    return sorted(found, key=lambda mend: (-mend[1].weight, mend[1].name))


def _words(contract: Contract, measure: str, about: About) -> tuple[str, Measure, str]:
    """What a fact is called, its measure, and what to do about it."""
    name, advice = MEASURES[measure].name, ""
    if not about:
        return name, MEASURES[measure], advice
    match measure:
        case "taken":
            table, column, rule = about
            of = contract.tables.get(table)
            kind = "row" if of else "file"
            words = wording.of_reading(contract, of, column_of(contract, table, column), rule, kind)
            name, advice = words.message, words.advice
        case "link_keys":
            name = wording.of_role(about[0])
            advice = "Without it, records of one child in two places are not found to be one's."
        case "critical":
            of = contract.tables[about[0]]
            name = f"{of.column(about[1]).physical_name} of {of.physical_name}"
            advice = "Look whether it is recorded, and whether the export takes it over."
        case "dfe":
            texts = {rule.name: rule.description for rule in published(contract)}
            name, advice = texts[about[0]], "linked-cyp validate lists the rows."
        case _:
            name = f"School {about[0]}"
    return name, MEASURES[measure], advice


def _days(days: int | None) -> str:
    if days is None:
        return "-"
    if not days:
        return "on the last day"
    return f"{abs(days):,} day{'' if abs(days) == 1 else 's'} {'after' if days > 0 else 'before'}"
