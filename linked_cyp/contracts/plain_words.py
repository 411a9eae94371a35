"""What the public pages say in plain English: ``data_contracts/plain_words.yaml``.

The contracts say what is held and, in ``plainWords``, say it so that a child can read it; this file
holds the words that belong to no single feed. Words never decide what stands on a page: a feed or
table without any is shown all the same, by its contract's title, and :func:`gaps` names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from linked_cyp.contracts.facts import FeedWords, Words
from linked_cyp.contracts.house import is_about_persons
from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.vocabulary import OPT_OUTS, read
from linked_cyp.core.errors import LinkedCypError

_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, where the wheel has it
FILE = "plain_words.yaml"
_SECTIONS = {"areas", "suppliers", "opt_outs", "projects"}


@dataclass(frozen=True)
class PlainWords:
    """``areas`` are headings by domain, in order; ``suppliers`` is by kind of supplier."""

    areas: Mapping[str, str]
    suppliers: Mapping[str, str]
    opt_outs: Mapping[str, Words]
    projects: Mapping[str, Words]

    def feed(self, contract: Contract) -> FeedWords:
        """Words of a feed; without any, what its contract says."""
        return contract.plain_words or FeedWords(
            children=f"{contract.title}.", families=contract.purpose, name=contract.title
        )

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
            opt_outs={name: read(Words, said, name) for name, said in document["opt_outs"].items()},
            projects={
                name: read(Words, said, name) for name, said in (document["projects"] or {}).items()
            },
        )
    except (TypeError, AttributeError, LinkedCypError) as error:
        raise LinkedCypError(f"{FILE}: missing or unknown: {error}") from None


def gaps(
    words: PlainWords, contracts: Mapping[str, Contract], projects: Iterable[str]
) -> Iterator[str]:
    """What is not said, and what it says of things that are not there."""
    about_people = {c.feed: c for c in contracts.values() if is_about_persons(c)}
    yield from _differences("project", set(words.projects), set(projects))
    yield from _differences(
        "opt-out", set(words.opt_outs), {name for c in contracts.values() for name in c.opt_outs}
    )
    for domain in sorted({c.domain for c in about_people.values()} - set(words.areas)):
        yield f"domain {domain} has no heading"
    for kind in sorted({c.supplier_kind for c in about_people.values()} - set(words.suppliers)):
        yield f"supplier {kind} has no words"
    for feed, contract in sorted(about_people.items()):
        if contract.plain_words is None:
            yield f"feed {feed} has no plain words"
            continue
        told = contract.plain_words.told()
        yield from _differences(f"{feed} table", told, set(contract.tables))


def _differences(what: str, said: set[str], there: set[str]) -> Iterator[str]:
    yield from (f"{what} {name} has no plain words" for name in sorted(there - said))
    yield from (f"{what} {name} has words, but does not exist" for name in sorted(said - there))
