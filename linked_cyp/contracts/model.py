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
TREATMENTS = ("keep", "drop", "token", "coarsen_month", "coarsen_year", "coarsen_lsoa")
PERIOD_KINDS = (
    *("financial_year", "academic_year", "calendar_year"),
    *("academic_term", "month", "snapshot"),
)
DOMAINS = (
    "education",
    "social_care",
    "health/demographics",
    "health/primary_care",
    "health/secondary_uses",
    "health/mental_health_and_community",
    "health/births_deaths_growth",
    "governance",
    "reference",
)
OPT_OUTS = ("national_data_opt_out", "type1_opt_out", "local_objection")
PERIOD_ROLES = ("year", "term", "day", "authority")
VOLUME_LIMITS = {"least", "most", "least_others"}
LAYOUTS = ("verified", "partly verified", "unverified")
CLASSIFICATIONS = ("direct_identifier", "quasi_identifier", "sensitive", "operational")
IDENTIFIER_TYPES = ("nhs_number", "upn", "uln", "postcode")


@dataclass(frozen=True)
class Code:
    """One permitted value; ``since`` and ``until`` are collection years, both inclusive."""

    code: str
    label: str
    since: int | None = None
    until: int | None = None


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
class RoleBy:
    """The ``linkageRole`` of a column that holds several kinds of identifier, row by row.

    ``roles`` maps the values of ``column`` (compared without case) to roles; a row with a value in
    ``ended_by`` holds a former identifier.
    """

    column: str
    roles: Mapping[str, str]
    ended_by: str | None = None


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
    since: int | None = None
    until: int | None = None

    @property
    def table_name(self) -> str:
        return f"{self.feed}__{self.name}"

    @cached_property
    def primary_key(self) -> tuple[str, ...]:
        keyed = [c for c in self.columns if c.primary_key_position is not None]
        return tuple(c.name for c in sorted(keyed, key=lambda c: c.primary_key_position or 0))

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
    return {contract.feed: contract for contract in contracts}


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
    custom = _custom(document)
    owner = document.team.name if document.team and hasattr(document.team, "name") else None
    sla = {p.property: p for p in document.slaProperties or ()}
    frequency = sla.get("frequency")
    text = document.description
    feed = document.id or ""
    contract = Contract(
        feed=feed,
        title=document.name or feed,
        version=document.version or "0.0.0",
        domain=document.domain or "",
        description=(text.usage if text else None) or "",
        purpose=(text.purpose if text else None) or "",
        limitations=(text.limitations if text else None) or "",
        reader=custom.get("reader", "delimited"),
        period_kind=custom.get("periodKind", ""),
        supplier_kind=custom.get("supplierKind", ""),
        legal_basis=(custom.get("legalBasis") or "").strip(),
        owner=owner or "",
        cadence=str(frequency.value) if frequency else "",
        date_formats=tuple(custom.get("dateFormats", ())),
        delimiter=custom.get("delimiter", ","),
        max_quarantined_share=float(custom.get("maxQuarantinedShare", 0.1)),
        source_of_fact=custom.get("sourceOfFact", ""),
        layout=custom.get("layout", ""),
        tables={
            table.name: table
            for table in (_table(feed, schema, codesets) for schema in document.schema_ or ())
        },
        opt_outs=tuple(custom.get("optOuts", ())),
        volume_limits=custom.get("volumeLimits") or {},
        max_lost_share=custom.get("maxLostShare"),
    )
    problems = list(contract_problems(contract, path.name.removesuffix(".odcs.yaml")))
    if problems:
        raise LinkedCypError(f"{path.name}: " + "; ".join(problems))
    return contract


def contract_problems(contract: Contract, stem: str) -> Iterable[str]:
    """What a contract gets wrong in this project's vocabulary, one line each."""
    if contract.feed != stem:
        yield f"id is {contract.feed!r} but the file is named for {stem!r}"
    if contract.domain not in DOMAINS:
        yield f"domain must be one of {', '.join(DOMAINS)}"
    if contract.period_kind not in PERIOD_KINDS:
        yield f"periodKind must be one of {', '.join(PERIOD_KINDS)}"
    if contract.layout not in LAYOUTS:
        yield f"layout must be one of {', '.join(LAYOUTS)}"
    if not contract.legal_basis:
        yield "legalBasis is missing: a feed without a recorded legal basis does not run"
    if unknown := sorted(set(contract.volume_limits) - VOLUME_LIMITS):
        yield f"volumeLimits names {unknown[0]}; there are {', '.join(sorted(VOLUME_LIMITS))}"
    for table in contract.tables.values():
        for column in table.columns:
            if column.period_role not in (None, *PERIOD_ROLES):
                yield f"{table.name}.{column.name}: periodRole is one of {', '.join(PERIOD_ROLES)}"
    if unknown := sorted(set(contract.opt_outs) - set(OPT_OUTS)):
        yield f"optOuts names {', '.join(unknown)}; there are {', '.join(OPT_OUTS)}"
    holds_persons = any(table.person_key for table in contract.tables.values())
    if holds_persons and not contract.opt_outs and contract.domain != "governance":
        yield "optOuts is missing: a feed about persons says which opt-outs take them out"
    if not contract.tables:
        yield "no tables"
    for table in contract.tables.values():
        yield from _table_problems(contract, table)


def _table_problems(contract: Contract, table: Table) -> Iterable[str]:
    names = [c.name for c in table.columns]
    where = table.name
    known = [c for c in table.columns if c.pseudonymisation in TREATMENTS]
    outputs = [o.name for c in known for o in _outputs(c)]
    for repeated in sorted({n for n in names if names.count(n) > 1}):
        yield f"{where}.{repeated} is declared twice"
    for both in sorted(set(table.not_taken) & {c.physical_name for c in table.columns}):
        yield f"{where}: {both} is a column and among notTaken"
    for repeated in sorted({n for n in outputs if outputs.count(n) > 1}):
        yield f"{where}: two columns become {repeated} when pseudonymised"
    for column in table.columns:
        place = f"{where}.{column.name}"
        if not re.fullmatch(r"[a-z][a-z0-9_]*", column.name):
            yield f"{place}: names are snake_case"
        if column.type not in DUCKDB_TYPES:
            yield f"{place}: logicalType must be one of {', '.join(DUCKDB_TYPES)}"
        if column.pseudonymisation not in TREATMENTS:
            yield f"{place}: pseudonymisation must be one of {', '.join(TREATMENTS)}"
        if column.classification not in CLASSIFICATIONS:
            yield f"{place}: classification must be one of {', '.join(CLASSIFICATIONS)}"
        if column.classification == "direct_identifier" and column.pseudonymisation == "keep":
            yield f"{place}: a direct identifier cannot be kept"
        if is_kept_text(column) and not (column.codeset or column.pattern):
            yield f"{place}: text is kept only with a codeset or a pattern, as it may hold a name"
        if column.identifier_type not in (None, *IDENTIFIER_TYPES):
            yield f"{place}: identifierType must be one of {', '.join(IDENTIFIER_TYPES)}"
        if column.linkage_role_by:
            by = column.linkage_role_by
            for name in (n for n in (by.column, by.ended_by) if n and n not in names):
                yield f"{place}: linkageRoleBy names an undeclared column {name}"
            if column.pseudonymisation != "drop":
                yield f"{place}: a column of several identifiers is dropped"
        if column.type == "date" and not (column.date_formats or contract.date_formats):
            yield f"{place}: no dateFormats here or on the contract"
        if column.pseudonymisation.startswith("coarsen_") and not _coarsenable(column):
            yield f"{place}: {column.pseudonymisation} does not fit a {column.type}"
    for alternative in table.person_key:
        for name in set(alternative) - set(names):
            yield f"{where}: personKey names an undeclared column {name}"
    for link in table.relationships:
        target = contract.tables.get(link.to_table)
        if target is None or any(
            c not in {x.name for x in target.columns} for c in link.to_columns
        ):
            yield f"{where}: a relationship refers to {link.to_table}, which does not hold it"


def is_kept_text(column: Column) -> bool:
    """Whether a column's text goes on as it is: then only declared values may pass."""
    return column.pseudonymisation == "keep" and column.type == "string"


def _coarsenable(column: Column) -> bool:
    if column.pseudonymisation == "coarsen_lsoa":
        return column.type == "string" and column.name.endswith("postcode")
    return column.type in ("date", "timestamp")


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
    custom = _custom(schema)
    name = schema.name or ""
    return Table(
        feed=feed,
        name=name,
        physical_name=schema.physicalName or name,
        description=(schema.description or "").strip(),
        grain=(schema.dataGranularityDescription or "").strip(),
        required=bool(custom.get("required", False)),
        person_key=tuple(tuple(names) for names in custom.get("personKey", ())),
        columns=tuple(
            _column(f"{feed}.{name}", prop, codesets) for prop in schema.properties or ()
        ),
        relationships=tuple(_relationships(schema)),
        not_taken=tuple(custom.get("notTaken", ())),
        since=custom.get("since"),
        until=custom.get("until"),
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


def _column(where: str, prop: SchemaProperty, codesets: Mapping[str, Codeset]) -> Column:
    custom = _custom(prop)
    options = prop.logicalTypeOptions or {}
    codeset = custom.get("codeset")
    if codeset is not None and codeset not in codesets:
        raise LinkedCypError(f"{where}.{prop.name}: there is no codeset {codeset}")
    withheld = custom.get("withheldCodes")
    if withheld is not None and withheld not in codesets:
        raise LinkedCypError(f"{where}.{prop.name}: there is no codeset {withheld}")
    position = prop.primaryKeyPosition or 1 if prop.primaryKey else None
    return Column(
        name=prop.name or "",
        physical_name=prop.physicalName or prop.name or "",
        type=prop.logicalType or "",
        description=(prop.description or "").strip(),
        aliases=tuple(custom.get("aliases", ())),
        required=bool(prop.required),
        unique=bool(prop.unique),
        primary_key_position=position,
        date_formats=tuple(custom.get("dateFormats", ())),
        pattern=options.get("pattern"),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        codeset=codesets[codeset] if codeset else None,
        withheld=codesets[withheld] if withheld else None,
        pseudonymisation=custom.get("pseudonymisation", "drop"),
        token_scope=custom.get("tokenScope"),
        linkage_role=custom.get("linkageRole"),
        linkage_role_by=_role_by(custom.get("linkageRoleBy")),
        identifier_type=custom.get("identifierType"),
        classification=prop.classification or "operational",
        critical=bool(prop.criticalDataElement),
        since=custom.get("since"),
        until=custom.get("until"),
        period_role=custom.get("periodRole"),
        max_lost_share=custom.get("maxLostShare"),
    )


def _role_by(value: Mapping[str, Any] | None) -> RoleBy | None:
    if value is None:
        return None
    return RoleBy(value["column"], dict(value["roles"]), value.get("endedBy"))


def _codeset(path: Path) -> Codeset:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Codeset(
        path.stem,
        tuple(
            Code(r["code"], r["label"], _year(r.get("since")), _year(r.get("until"))) for r in rows
        ),
    )


def _year(text: str | None) -> int | None:
    return int(text) if text else None
