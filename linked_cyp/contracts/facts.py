"""What some words of a contract hold: plain classes, which a loaded contract keeps.

Apart from :mod:`linked_cyp.contracts.vocabulary`, because the validator's page has no pydantic.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

LinkageRole = Literal[
    "nhs_number",
    "former_nhs_number",
    "nhs_number_hash",
    "upn",
    "former_upn",
    "la_child_id",
    "forename",
    "middle_names",
    "surname",
    "former_surname",
    "preferred_surname",
    "birth_date",
    "birth_year",
    "birth_month",
    "sex",
    "postcode",
    "ethnicity",
    "death_date",
]
# Why a row takes its source person out of linkage. What each does: identity/exclusions.py.
Reason = Literal["adoption", "sensitive", "superseded", "withheld", "dummy", "deleted"]
UNTOLD = "more, which we have not put into plain words yet"


def _spelt(name: str) -> str:
    """How a contract writes an attribute: in camelCase; ``from`` is no name in Python."""
    first, *rest = {"source": "from"}.get(name, name).split("_")
    return first + "".join(part.capitalize() for part in rest)


def _prose(text: str) -> str:
    """Words for a page: folded YAML leaves line breaks in them."""
    return " ".join(text.split())


# pydantic's, for when a contract is loaded: what is not declared is refused.
SAID = {"extra": "forbid", "alias_generator": _spelt, "populate_by_name": True}


@dataclass(frozen=True, kw_only=True)
class RoleBy:
    """The ``linkageRole`` of a column that holds several kinds of identifier, row by row.

    ``roles`` maps the values of ``column`` (compared without case) to roles; a row with a value in
    ``ended_by`` holds a former identifier.
    """

    __pydantic_config__ = SAID

    column: str
    roles: dict[str, LinkageRole]
    ended_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Excludes:
    """Rows that take their source person out of linkage: those with one of ``values``, compared
    without case; without ``values``, those with anything but false, 0 and blank."""

    __pydantic_config__ = SAID

    reason: Reason
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(value.strip() for value in self.values):
            raise ValueError("a value is blank, and would exclude everybody")


@dataclass(frozen=True, kw_only=True)
class Dissents:
    """Where practices write down that a patient dissents: the columns of the entry's code, its day
    and whether it was taken back."""

    __pydantic_config__ = SAID

    code: str
    day: str
    deleted: str


@dataclass(frozen=True, kw_only=True)
class PersonFacts:
    """A dbt model in which a feed says who its children are, where its tables need work first.

    ``seen`` is the column of the day on which the child was seen (else the delivery's month
    counts); ``tells`` are the columns among sex_code, birth_month, ethnicity_code and death_month,
    ``{death_month: x}`` where it is called x; ``ethnicity`` is the code list of its ethnicities
    where no column declares one.
    """

    __pydantic_config__ = SAID

    model: str
    seen: str | None = None
    tells: tuple[str | dict[str, str], ...]
    ethnicity: str | None = None


@dataclass(frozen=True, kw_only=True)
class Words:
    """One thing said twice: for children of about nine, and for young people and families."""

    __pydantic_config__ = SAID

    children: str
    families: str
    name: str = ""

    def __post_init__(self) -> None:
        for part in ("children", "families", "name"):
            object.__setattr__(self, part, _prose(getattr(self, part)))
        if not (self.children and self.families):
            raise ValueError("children and families are told something")


@dataclass(frozen=True, kw_only=True)
class FeedWords(Words):
    """A feed. ``holds`` maps what is known about a person to the tables that say it;
    ``workings`` are tables that say nothing about anybody; ``source`` (written ``from``) is who
    wrote it, where that is not who supplies it."""

    __pydantic_config__ = SAID

    holds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    workings: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name:
            raise ValueError("name is missing")
        object.__setattr__(self, "holds", {_prose(said): of for said, of in self.holds.items()})

    def told(self) -> set[str]:
        """The tables that have their place."""
        return {name for names in self.holds.values() for name in names} | set(self.workings)

    def held(self, tables: Collection[str]) -> list[str]:
        """What tables hold about a person, as phrases, in order."""
        phrases = [said for said, names in self.holds.items() if set(tables) & set(names)]
        return [*phrases, UNTOLD] if set(tables) - self.told() else phrases
