"""The words a contract may use beside those of the standard, and what each may hold.

One pydantic class for each level of a contract: loading validates with them, and the JSON Schema
that an editor reads (``data_contracts/contract.schema.json``) is made of them. What a word means is
on one page in ``data_contracts/README.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from linked_cyp.contracts.facts import (
    Dissents,
    Excludes,
    FeedWords,
    LinkageRole,
    PersonFacts,
    Reason,
    RoleBy,
)
from linked_cyp.core.errors import LinkedCypError

Layout = Literal["verified", "partly verified", "unverified"]
PeriodKind = Literal[
    "financial_year", "academic_year", "calendar_year", "academic_term", "month", "snapshot"
]
OptOut = Literal["national_data_opt_out", "type1_opt_out", "local_objection"]
Treatment = Literal["keep", "drop", "token", "coarsen_month", "coarsen_year", "coarsen_lsoa"]
IdentifierType = Literal["nhs_number", "upn", "uln", "postcode"]
# What in a row says for which period or place it was sent: ingest/periods.py.
PeriodRole = Literal["year", "term", "day", "within", "authority"]
VolumeLimit = Literal["least", "most", "least_others"]

TREATMENTS: tuple[str, ...] = get_args(Treatment)
PERIOD_KINDS: tuple[str, ...] = get_args(PeriodKind)
OPT_OUTS: tuple[str, ...] = get_args(OptOut)
GOVERNANCE = "governance"  # the domain of lists of opt-outs and objections
LAYOUTS: tuple[str, ...] = get_args(Layout)
IDENTIFIER_TYPES: tuple[str, ...] = get_args(IdentifierType)
REASONS: tuple[str, ...] = get_args(Reason)

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Year = Annotated[int, Field(ge=1900, le=2200)]


class Vocabulary(BaseModel):
    """A word that is not declared is refused: a misspelt one would be a rule nobody applies."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, populate_by_name=True
    )


class ContractWords(Vocabulary):
    """Custom properties of a contract."""

    reader: Text = "delimited"
    layout: Layout
    period_kind: PeriodKind
    supplier_kind: Text
    legal_basis: Text
    opt_outs: tuple[OptOut, ...] = ()
    date_formats: tuple[Text, ...] = ()
    delimiter: Annotated[str, Field(min_length=1)] = ","
    max_quarantined_share: Share = 0.1
    source_of_fact: Text
    source_rank: int | None = None
    spine: bool = False
    person_facts: tuple[PersonFacts, ...] = ()
    plain_words: FeedWords | None = None
    volume_limits: dict[VolumeLimit, float] = Field(default_factory=dict)
    max_lost_share: Share | None = None


class TableWords(Vocabulary):
    """Custom properties of a table."""

    required: bool = False
    person_key: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = ()
    not_taken: tuple[str, ...] = ()
    dissents: Dissents | None = None
    since: Year | None = None
    until: Year | None = None


class ColumnWords(Vocabulary):
    """Custom properties of a column."""

    aliases: tuple[str, ...] = ()
    date_formats: tuple[str, ...] = ()
    codeset: Text | None = None
    withheld_codes: Text | None = None
    pseudonymisation: Treatment = "drop"
    token_scope: Text | None = None
    linkage_role: LinkageRole | None = None
    linkage_role_by: RoleBy | None = None
    identifier_type: IdentifierType | None = None
    excludes: Excludes | None = None
    period_role: PeriodRole | None = None
    max_lost_share: Share | None = None
    since: Year | None = None
    until: Year | None = None


V = TypeVar("V")


def read(kind: type[V], said: Mapping[str, Any], where: str = "") -> V:
    """Properties as their class.

    Raises:
        LinkedCypError: names every property that is unknown, missing or holds what it may not.
    """
    try:
        return TypeAdapter(kind).validate_python(dict(said))
    except ValidationError as error:
        problems = "; ".join(_problem(each, where) for each in error.errors(include_url=False))
        raise LinkedCypError(problems) from None


def _problem(error: Mapping[str, Any], where: str) -> str:
    name = ".".join(str(part) for part in error["loc"])
    place = f"{where}: {name}" if where else name
    match error["type"]:
        case "missing":
            return f"{place} is missing"
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"{place} is no property of a contract (see README.md of the contracts)"
    said = error.get("input")
    told = f", not {said!r}" if isinstance(said, str | int | float) else ""
    return f"{place}: {error['msg'][:1].lower()}{error['msg'][1:]}{told}"
