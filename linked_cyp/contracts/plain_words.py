"""What the public pages say in plain English: ``data_contracts/plain_words.yaml``.

The contracts say what is held; this file says it so that a child can read it. It adds words and
never decides what stands on a page: a feed or table that it forgets is shown all the same, by its
contract's title, and :func:`gaps` names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from linked_cyp.contracts.model import OPT_OUTS, Contract
from linked_cyp.core.errors import LinkedCypError

_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where the wheel has it
FILE = "plain_words.yaml"
UNTOLD = "more, which we have not put into plain words yet"
_SECTIONS = {"areas", "suppliers", "feeds", "opt_outs", "projects"}


@dataclass(frozen=True)
class Words:
    """One thing said twice: for children of about nine, and for young people and families."""

    children: str
    families: str
    name: str = ""


@dataclass(frozen=True)
class FeedWords(Words):
    """A feed. ``holds`` maps what is known about a person to the tables that say it;
    ``workings`` are tables that say nothing about anybody; ``source`` is who wrote it, where that
    is not who supplies it."""

    holds: Mapping[str, tuple[str, ...]] | None = None
    workings: tuple[str, ...] = ()
    source: str = ""

    def told(self) -> set[str]:
        """The tables that have their place."""
        return {name for names in (self.holds or {}).values() for name in names} | set(
            self.workings
        )

    def held(self, contract: Contract) -> list[str]:
        """What the tables of a contract hold about a person, as phrases, in order."""
        tables = set(contract.tables)
        phrases = [said for said, names in (self.holds or {}).items() if tables & set(names)]
        return [*phrases, UNTOLD] if tables - self.told() else phrases


@dataclass(frozen=True)
class PlainWords:
    """``areas`` are headings by domain, in order; ``suppliers`` is by kind of supplier."""

    areas: Mapping[str, str]
    suppliers: Mapping[str, str]
    feeds: Mapping[str, FeedWords]
    opt_outs: Mapping[str, Words]
    projects: Mapping[str, Words]

    def feed(self, contract: Contract) -> FeedWords:
        """Words of a feed; without any, what its contract says."""
        purpose = " ".join(contract.purpose.split())
        said = FeedWords(children=f"{contract.title}.", families=purpose, name=contract.title)
        return self.feeds.get(contract.feed, said)

    def area(self, contract: Contract) -> str:
        domain = contract.domain
        return self.areas.get(domain, domain.partition("/")[0].replace("_", " ").capitalize())

    def supplier(self, kind: str) -> str:
        return self.suppliers.get(kind, kind.replace("_", " "))


def load_plain_words(contracts: Path) -> PlainWords:
    """Read the file of an installation's contracts folder.

    Raises:
        LinkedCypError: it is missing, or not laid out as it has to be (says where).
    """
    path = contracts / FILE
    if not path.exists():
        raise LinkedCypError(f"{FILE} is missing: it says what the public pages say")
    document = yaml.load(path.read_text(encoding="utf-8"), Loader=_YAML)
    if not isinstance(document, dict) or set(document) != _SECTIONS:
        raise LinkedCypError(f"{FILE} has the sections {', '.join(sorted(_SECTIONS))}")
    if lacking := sorted(set(OPT_OUTS) - set(document["opt_outs"] or {})):
        raise LinkedCypError(f"{FILE}: no way to say no may be left unsaid: {', '.join(lacking)}")
    try:
        return PlainWords(
            areas=document["areas"],
            suppliers=document["suppliers"],
            feeds={name: _feed(said) for name, said in document["feeds"].items()},
            opt_outs={name: _words(said) for name, said in document["opt_outs"].items()},
            projects={name: _words(said) for name, said in (document["projects"] or {}).items()},
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise LinkedCypError(f"{FILE}: missing or unknown: {error}") from None


def gaps(
    words: PlainWords, contracts: Mapping[str, Contract], projects: Iterable[str]
) -> Iterator[str]:
    """What the file does not say, and what it says of things that are not there."""
    about_people = {c.feed: c for c in contracts.values() if is_about_people(c)}
    yield from _differences("feed", set(words.feeds), set(about_people))
    yield from _differences("project", set(words.projects), set(projects))
    yield from _differences(
        "opt-out", set(words.opt_outs), {name for c in contracts.values() for name in c.opt_outs}
    )
    for domain in sorted({c.domain for c in about_people.values()} - set(words.areas)):
        yield f"domain {domain} has no heading"
    for kind in sorted({c.supplier_kind for c in about_people.values()} - set(words.suppliers)):
        yield f"supplier {kind} has no words"
    for feed, said in words.feeds.items():
        if feed in about_people:
            yield from _differences(f"{feed} table", said.told(), set(about_people[feed].tables))


def is_about_people(contract: Contract) -> bool:
    """Whether a feed is what researchers use, not a list of who objected."""
    return contract.domain not in ("governance", "reference")


def _differences(what: str, said: set[str], there: set[str]) -> Iterator[str]:
    yield from (f"{what} {name} has no plain words" for name in sorted(there - said))
    yield from (f"{what} {name} has words, but does not exist" for name in sorted(said - there))


def _feed(said: Mapping[str, Any]) -> FeedWords:
    known = {"name", "from", "children", "families", "holds", "workings"}
    if unknown := sorted(set(said) - known):
        raise KeyError(f"unknown entry {', '.join(unknown)}")
    return FeedWords(
        children=_text(said["children"]),
        families=_text(said["families"]),
        name=_text(said["name"]),
        holds={_text(phrase): tuple(tables) for phrase, tables in said["holds"].items()},
        workings=tuple(said.get("workings", ())),
        source=_text(said.get("from", "")),
    )


def _words(said: Mapping[str, str]) -> Words:
    return Words(**{name: _text(text) for name, text in said.items()})


def _text(text: str) -> str:
    return " ".join(str(text).split())
