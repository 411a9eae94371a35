"""Data contracts: one declaration per feed, from which everything else is projected.

A contract is an Open Data Contract Standard v3.1 file, ``data_contracts/<feed>.odcs.yaml``. It is
read once into the small frozen classes below; readers, expectations, the pseudonymisation plan,
Dagster metadata, dbt sources and the dictionary are functions of them. The vocabulary is on one
page in ``data_contracts/README.md``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml
from open_data_contract_standard.model import (
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
)

from linked_cyp.contracts.facts import Dissents, Excludes, FeedWords, PersonFacts, RoleBy
from linked_cyp.contracts.formats import FORMATS
from linked_cyp.contracts.house import contract_problems
from linked_cyp.contracts.vocabulary import (
    ColumnWords,
    ContractWords,
    TableWords,
    read,
)
from linked_cyp.core.errors import LinkedCypError

# libyaml reads a contract five times faster than Python does; not every platform's wheel has it.
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUCKDB_TYPES: Mapping[str, str] = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "boolean": "BOOLEAN",
}


@dataclass(frozen=True)
class Code:
    """One permitted value; ``since`` and ``until`` are collection years, both inclusive.

    ``harmonised`` is what the code means on the scale that all feeds share: of sex M, F or U, of
    ethnicity the Department for Education's main code.
    """

    code: str
    label: str
    since: int | None = None
    until: int | None = None
    harmonised: str | None = None


@lru_cache(maxsize=1 << 16)
def normalise(name: str) -> str:
    """A header name as it is compared: without spaces, case, or a byte order mark."""
    return re.sub(r"[\s\ufeff\u00a0]+", "", name).casefold()


@dataclass(frozen=True)
class Codeset:
    name: str
    codes: tuple[Code, ...]

    def at(self, year: int) -> Codeset:
        """The codes in force in one collection year."""
        return replace(self, codes=tuple(c for c in self.codes if in_force(c, year)))

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c.code for c in self.codes))


@dataclass(frozen=True)
class Column:
    """One column: how the supplier writes it, what we call it, and what becomes of it.

    ``withheld`` lists codes that never reach the warehouse; one that ends in ``*`` stands for all
    that begin like it.
    """

    name: str
    physical_name: str
    type: str
    description: str
    aliases: tuple[str, ...] = ()
    required: bool = False
    unique: bool = False
    primary_key_position: int | None = None
    date_formats: tuple[str, ...] = ()
    pattern: str | None = None
    minimum: Any = None
    maximum: Any = None
    codeset: Codeset | None = None
    withheld: Codeset | None = None
    pseudonymisation: str = "drop"
    token_scope: str | None = None
    linkage_role: str | None = None
    linkage_role_by: RoleBy | None = None
    identifier_type: str | None = None
    classification: str = "operational"
    critical: bool = False
    excludes: Excludes | None = None
    since: int | None = None
    until: int | None = None
    period_role: str | None = None
    max_lost_share: float | None = None

    @property
    def sql_type(self) -> str:
        return DUCKDB_TYPES[self.type]


@dataclass(frozen=True)
class OutputColumn:
    """A column of a pseudonymised table, with the supplier's column it comes from."""

    name: str
    sql_type: str
    description: str
    source: Column
    treatment: str


@dataclass(frozen=True)
class Relationship:
    """A foreign key: ``columns`` of this table refer to ``to_columns`` of ``to_table``."""

    columns: tuple[str, ...]
    to_table: str
    to_columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    feed: str
    name: str
    physical_name: str
    description: str
    grain: str
    required: bool
    person_key: tuple[tuple[str, ...], ...]
    columns: tuple[Column, ...]
    relationships: tuple[Relationship, ...] = ()
    not_taken: tuple[str, ...] = ()
    dissents: Dissents | None = None
    since: int | None = None
    until: int | None = None

    @property
    def table_name(self) -> str:
        return f"{self.feed}__{self.name}"

    @cached_property
    def primary_key(self) -> tuple[str, ...]:
        keyed = [c for c in self.columns if c.primary_key_position is not None]
        return tuple(c.name for c in sorted(keyed, key=lambda c: c.primary_key_position or 0))

    @cached_property
    def spellings(self) -> Mapping[str, tuple[str, ...]]:
        """By column the header names it goes by, as they are compared, the present one first."""
        return {
            c.name: tuple(map(normalise, (c.physical_name, *c.aliases, c.name)))
            for c in self.columns
        }

    @cached_property
    def header_names(self) -> frozenset[str]:
        """Every header name of every column, as they are compared."""
        return frozenset(name for names in self.spellings.values() for name in names)

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise LinkedCypError(f"{self.table_name} has no column {name}")

    def pseudonymised(self) -> tuple[OutputColumn, ...]:
        """The columns of the pseudonymised table, in contract order, without the row's own keys."""
        return tuple(output for column in self.columns for output in _outputs(column))


@dataclass(frozen=True)
class Contract:
    feed: str
    title: str
    version: str
    domain: str
    description: str
    purpose: str
    limitations: str
    reader: str
    period_kind: str
    supplier_kind: str
    legal_basis: str
    owner: str
    cadence: str
    date_formats: tuple[str, ...]
    delimiter: str
    max_quarantined_share: float
    source_of_fact: str
    layout: str
    tables: Mapping[str, Table]
    opt_outs: tuple[str, ...] = ()
    volume_limits: Mapping[str, float] = field(default_factory=dict)
    max_lost_share: float | None = None
    source_rank: int | None = None
    is_spine: bool = False
    person_facts: tuple[PersonFacts, ...] = ()
    plain_words: FeedWords | None = None

    def at(self, year: int) -> Contract:
        """This contract with only the tables, columns and codes in force in a collection year."""
        tables = {
            name: replace(
                table,
                columns=tuple(
                    replace(c, codeset=c.codeset.at(year)) if c.codeset else c
                    for c in table.columns
                    if in_force(c, year)
                ),
            )
            for name, table in self.tables.items()
            if in_force(table, year)
        }
        return replace(self, tables=tables)

    def period_pattern(self) -> re.Pattern[str]:
        """What a delivery's period looks like for this feed."""
        return PERIOD_PATTERNS[self.period_kind]

    def collection_year(self, period: str) -> int:
        """The collection year of a period: the year in which its year of record ends.

        Raises:
            LinkedCypError: the period is not written as this feed writes it.
        """
        if not self.period_pattern().fullmatch(period):
            raise LinkedCypError(
                f"{self.feed}: a period is written like {PERIOD_EXAMPLES[self.period_kind]}"
            )
        year = int(period[:4])
        if self.period_kind in ("financial_year", "academic_year", "calendar_year"):
            return year
        if self.period_kind == "academic_term":
            return year + 1 if period.endswith("autumn") else year
        return year + 1 if int(period[5:7]) >= 4 else year


PERIOD_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "financial_year": re.compile(r"\d{4}"),
    "academic_year": re.compile(r"\d{4}"),
    "calendar_year": re.compile(r"\d{4}"),
    "academic_term": re.compile(r"\d{4}-(autumn|spring|summer)"),
    "month": re.compile(r"\d{4}-(0[1-9]|1[0-2])"),
    "snapshot": re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"),
}
PERIOD_EXAMPLES: Mapping[str, str] = {
    "financial_year": "2025 (the year that ended on 31 March 2025)",
    "academic_year": "2025 (the school year that ended in summer 2025)",
    "calendar_year": "2025",
    "academic_term": "2024-autumn",
    "month": "2025-03",
    "snapshot": "2025-03-31",
}


def in_force(item: Any, year: int) -> bool:
    """Whether a code, column or table with ``since`` and ``until`` holds in a collection year."""
    return (item.since is None or item.since <= year) and (item.until is None or year <= item.until)


def load_contracts(folder: Path) -> dict[str, Contract]:
    """Read every ``*.odcs.yaml`` of a folder, keyed by feed.

    Raises:
        LinkedCypError: a contract breaks the standard or this project's vocabulary.
    """
    files = [*folder.glob("*.odcs.yaml"), *folder.glob("codesets/*.csv")]
    return dict(_load(folder, tuple(sorted((f, f.stat().st_mtime_ns) for f in files))))


@lru_cache(maxsize=4)
def _load(folder: Path, _state: tuple[tuple[Path, int], ...]) -> dict[str, Contract]:
    """Contracts of a folder as its files stand: many definitions ask for them in one process."""
    codesets = load_codesets(folder / "codesets")
    contracts = [load_contract(path, codesets) for path in sorted(folder.glob("*.odcs.yaml"))]
    if len(spines := [contract.feed for contract in contracts if contract.is_spine]) > 1:
        raise LinkedCypError(f"spine: only one feed is, not {' and '.join(spines)}")
    return {contract.feed: contract for contract in contracts}


def spine_of(contracts: Iterable[Contract]) -> str:
    """The feed in which everybody should be found; empty when none is declared."""
    return next((contract.feed for contract in contracts if contract.is_spine), "")


def load_codesets(folder: Path) -> dict[str, Codeset]:
    return {path.stem: _codeset(path) for path in sorted(folder.glob("*.csv"))}


def load_contract(path: Path, codesets: Mapping[str, Codeset]) -> Contract:
    """Read one contract file.

    Raises:
        LinkedCypError: names the file and what is wrong with it.
    """
    try:
        document = OpenDataContractStandard(**yaml.load(path.read_bytes(), Loader=_YAML))
    except Exception as error:
        raise LinkedCypError(f"{path.name} is not an ODCS contract: {error}") from error
    stem = path.name.removesuffix(".odcs.yaml")
    try:
        contract = _contract(document, codesets)
    except LinkedCypError as error:
        raise LinkedCypError(f"{path.name}: {error}") from None
    if problems := list(contract_problems(contract, stem)):
        raise LinkedCypError(f"{path.name}: " + "; ".join(problems))
    return contract


def _contract(document: OpenDataContractStandard, codesets: Mapping[str, Codeset]) -> Contract:
    """The contract that a document of the standard declares, with its words checked one by one."""
    said = read(ContractWords, _custom(document))
    text, team, feed = document.description, document.team, document.id or ""
    sla = {p.property: p for p in document.slaProperties or ()}
    frequency = sla.get("frequency")
    tables = (_table(feed, schema, codesets) for schema in document.schema_ or ())
    return Contract(
        feed=feed,
        title=document.name or feed,
        version=document.version or "0.0.0",
        domain=document.domain or "",
        description=(text.usage if text else None) or "",
        purpose=(text.purpose if text else None) or "",
        limitations=(text.limitations if text else None) or "",
        reader=said.reader,
        period_kind=said.period_kind,
        supplier_kind=said.supplier_kind,
        legal_basis=said.legal_basis,
        owner=(team.name if team and hasattr(team, "name") else None) or "",
        cadence=str(frequency.value) if frequency else "",
        date_formats=said.date_formats,
        delimiter=said.delimiter,
        max_quarantined_share=said.max_quarantined_share,
        source_of_fact=said.source_of_fact,
        layout=said.layout,
        tables={table.name: table for table in tables},
        opt_outs=said.opt_outs,
        source_rank=said.source_rank,
        is_spine=said.spine,
        person_facts=said.person_facts,
        plain_words=said.plain_words,
        volume_limits={str(name): value for name, value in said.volume_limits.items()},
        max_lost_share=said.max_lost_share,
    )


def is_kept_text(column: Column) -> bool:
    """Whether a column's text goes on as it is: then only declared values may pass."""
    return column.pseudonymisation == "keep" and column.type == "string"


def _outputs(column: Column) -> Iterable[OutputColumn]:
    """The pseudonymised columns that one column becomes (none when dropped)."""
    match column.pseudonymisation:
        case "drop":
            return
        case "token":
            text = f"Keyed token of: {column.description}"
            yield OutputColumn(column.name, "BIGINT", text, column, "token")
        case "coarsen_month":
            text = f"{column.description} Coarsened to the first of its month."
            yield OutputColumn(f"{_stem(column)}_month", "DATE", text, column, "coarsen_month")
        case "coarsen_year":
            text = f"{column.description} Coarsened to its year."
            yield OutputColumn(f"{_stem(column)}_year", "INTEGER", text, column, "coarsen_year")
        case "coarsen_lsoa":
            prefix = column.name.removesuffix("postcode")
            for suffix, place in _AREAS.items():
                text = f"{place} of: {column.description}"
                yield OutputColumn(prefix + suffix, "VARCHAR", text, column, "coarsen_lsoa")
        case "keep":
            yield OutputColumn(column.name, column.sql_type, column.description, column, "keep")
        case unknown:
            raise LinkedCypError(f"{column.name}: there is no treatment {unknown!r}")


_AREAS: Mapping[str, str] = {
    "lsoa21_code": "Lower layer super output area (2021)",
    "lsoa11_code": "Lower layer super output area (2011)",
    "la_code": "Local authority district",
}


def _stem(column: Column) -> str:
    return column.name.removesuffix("_date").removesuffix("_at")


def _custom(item: Any) -> dict[str, Any]:
    return {p.property: p.value for p in item.customProperties or () if p.property}


def _table(feed: str, schema: SchemaObject, codesets: Mapping[str, Codeset]) -> Table:
    name = schema.name or ""
    said = read(TableWords, _custom(schema), name)
    return Table(
        feed=feed,
        name=name,
        physical_name=schema.physicalName or name,
        description=(schema.description or "").strip(),
        grain=(schema.dataGranularityDescription or "").strip(),
        required=said.required,
        person_key=said.person_key,
        columns=tuple(_column(name, prop, codesets) for prop in schema.properties or ()),
        relationships=tuple(_relationships(schema)),
        not_taken=said.not_taken,
        dissents=said.dissents,
        since=said.since,
        until=said.until,
    )


def _relationships(schema: SchemaObject) -> Iterable[Relationship]:
    """ODCS writes both ends as ``table.column``, or lists of them for composite keys."""
    for link in schema.relationships or ():
        ours, theirs = _as_list(link.from_), _as_list(link.to)
        yield Relationship(
            columns=tuple(end.rsplit(".", 1)[-1] for end in ours),
            to_table=theirs[0].rsplit(".", 1)[0],
            to_columns=tuple(end.rsplit(".", 1)[-1] for end in theirs),
        )


def _as_list(ends: str | list[str] | None) -> list[str]:
    return [ends] if isinstance(ends, str) else list(ends or ())


def _column(table: str, prop: SchemaProperty, codesets: Mapping[str, Codeset]) -> Column:
    where = f"{table}.{prop.name}"
    said = read(ColumnWords, _custom(prop), where)
    options = prop.logicalTypeOptions or {}
    for name in (said.codeset, said.withheld_codes):
        if name is not None and name not in codesets:
            raise LinkedCypError(f"{where}: there is no codeset {name}")
    return Column(
        name=prop.name or "",
        physical_name=prop.physicalName or prop.name or "",
        type=prop.logicalType or "",
        description=(prop.description or "").strip(),
        aliases=said.aliases,
        required=bool(prop.required),
        unique=bool(prop.unique),
        primary_key_position=prop.primaryKeyPosition or 1 if prop.primaryKey else None,
        date_formats=said.date_formats,
        pattern=_pattern(options, where),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        codeset=codesets[said.codeset] if said.codeset else None,
        withheld=codesets[said.withheld_codes] if said.withheld_codes else None,
        pseudonymisation=said.pseudonymisation,
        token_scope=said.token_scope,
        linkage_role=said.linkage_role,
        linkage_role_by=said.linkage_role_by,
        identifier_type=said.identifier_type,
        classification=prop.classification or "operational",
        critical=bool(prop.criticalDataElement),
        excludes=said.excludes,
        since=said.since,
        until=said.until,
        period_role=said.period_role,
        max_lost_share=said.max_lost_share,
    )


def _pattern(options: Mapping[str, Any], where: str) -> str | None:
    """The column's own pattern, or that of the shared format it names."""
    named, own = options.get("format"), options.get("pattern")
    if named is None:
        return own
    if own is not None or named not in FORMATS:
        raise LinkedCypError(f"{where}: a format is one of {', '.join(FORMATS)}, and no pattern")
    return FORMATS[named]


def _codeset(path: Path) -> Codeset:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Codeset(
        path.stem,
        tuple(
            Code(
                *(r["code"], r["label"], _year(r.get("since")), _year(r.get("until"))),
                harmonised=r.get("harmonised") or None,
            )
            for r in rows
        ),
    )


def _year(text: str | None) -> int | None:
    return int(text) if text else None
