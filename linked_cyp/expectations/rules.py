"""Rules: what must hold for a table, as data, before any engine is chosen.

A rule has a name that becomes the name of its check, `<column>__<rule>`, so names hold column
and table names only. Severity `error` blocks the delivery (structure, keys, required fields,
identifiers where none may be); `warn` counts (codes, formats, ranges, references).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal

from linked_cyp.contracts.model import Column, Table, in_force
from linked_cyp.core.sql import literal, quoted

Severity = Literal["error", "warn"]
KINDS = (
    "not_null",  # columns: one
    "in_set",  # columns: one; values
    "between",  # columns: one; minimum and maximum, either may be None, both inclusive
    "matches",  # columns: one; pattern, searched for and not anchored
    "satisfies",  # columns: one or more; predicate, a macro of `macros` that each must satisfy
    "unique",  # columns: one or more; filled, or else rows with a null in any are not compared
    "columns_equal",  # columns: all of the relation's, in any order
    "types_equal",  # columns; types, the DuckDB type of each
    "row_count",  # rows
    "zero_rows",  # sql, a query of breaches; {batch} is the checked relation, {schema} its schema
    "exists_in",  # columns; table in the same schema, to_columns; within one delivery
)
ROW_KEYS = {"delivery_id": "VARCHAR", "row_number": "BIGINT", "source_file": "INTEGER"}
EARLIEST_BIRTH = date(1990, 1, 1)
HOLDS_NO_IDENTIFIER = "linked_cyp_holds_no_identifier"
IS_FIRST_OF_MONTH = "linked_cyp_is_first_of_month"
AREA_CODE = "^([A-Z][0-9]{8}|95[A-Z]{2}[0-9]{2}[SW][0-9])$"
_FORMATS = {
    "nhs_number": ("linked_cyp_accepted_nhs_number", "is an NHS number with a right check digit"),
    "upn": (
        "linked_cyp_accepted_upn",
        "is a unique pupil number with a right check letter, or a reason for having none",
    ),
    "uln": ("linked_cyp_accepted_uln", "is a unique learner number of ten digits"),
    "postcode": ("linked_cyp_accepted_postcode", "has the form of a postcode"),
}


@dataclass(frozen=True)
class Rule:
    """One check of one relation.

    Attributes:
        name: the name of the check: `<column>__<rule>`, or `rule_...` for a published rule.
        kind: one of `KINDS`, which says which arguments it takes.
        columns: the columns it is about.
        arguments: what the kind needs; never a value from the data.
        severity: `error` blocks, `warn` counts.
        description: one sentence for people who read checks.
    """

    name: str
    kind: str
    columns: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "error"
    description: str = ""


# What a rule is about, by its kind: the checks of one subject are shown as one (`SUBJECTS`).
_SUBJECT_OF = {
    "not_null": "required",
    "in_set": "codes",
    "between": "ranges",
    "matches": "formats",
    "satisfies": "formats",
    "unique": "keys",
    "exists_in": "keys",
    "columns_equal": "columns",
    "types_equal": "columns",
    "row_count": "rows",
    "zero_rows": "rows",
}
SUBJECTS: Mapping[str, str] = {
    "rows": "Every row is accounted for",
    "columns": "Columns and their types are those of the contract",
    "keys": "Keys are unique, and what refers to another table finds its row",
    "required": "Columns that must be filled are",
    "codes": "Coded columns hold codes in force in the collection year",
    "formats": "Values are written as the contract says",
    "ranges": "Values lie within their bounds",
    "identifiers": "Nothing that identifies a child is left",
}


def subject(rule: Rule) -> str:
    """Which of `SUBJECTS` a rule belongs to."""
    predicate = rule.arguments.get("predicate", "")
    if predicate == HOLDS_NO_IDENTIFIER:
        return "identifiers"
    return "ranges" if predicate == IS_FIRST_OF_MONTH else _SUBJECT_OF[rule.kind]


def not_null(column: str, severity: Severity = "error", name: str | None = None) -> Rule:
    return Rule(
        name or f"{column}__required",
        "not_null",
        (column,),
        severity=severity,
        description=f"{column} is filled on every row.",
    )


def unique(
    columns: Sequence[str],
    severity: Severity = "error",
    name: str | None = None,
    filled: bool = False,
) -> Rule:
    """No two rows share the columns; when `filled`, a null in any of them is a breach as well."""
    return Rule(
        name or f"{columns[0] if len(columns) == 1 else 'key'}__unique",
        "unique",
        tuple(columns),
        {"filled": filled},
        severity,
        f"No two rows share {' and '.join(columns)}{', and all are filled' if filled else ''}.",
    )


def in_set(column: str, values: Iterable[Any], severity: Severity = "warn") -> Rule:
    return Rule(
        f"{column}__codes",
        "in_set",
        (column,),
        {"values": tuple(values)},
        severity,
        f"{column} holds only codes in force in the collection year.",
    )


def between(column: str, minimum: Any, maximum: Any, severity: Severity = "warn") -> Rule:
    """Numbers, dates or timestamps; both bounds are inclusive and None leaves that side open."""
    if minimum is None:
        text = f"is at most {maximum}"
    elif maximum is None:
        text = f"is at least {minimum}"
    else:
        text = f"is between {minimum} and {maximum}"
    bounds = {"minimum": minimum, "maximum": maximum}
    return Rule(f"{column}__range", "between", (column,), bounds, severity, f"{column} {text}.")


def matches(column: str, pattern: str, severity: Severity = "warn") -> Rule:
    return Rule(
        f"{column}__format",
        "matches",
        (column,),
        {"pattern": pattern},
        severity,
        f"{column} is written as the contract says.",
    )


def zero_rows(name: str, sql: str, description: str, severity: Severity = "error") -> Rule:
    """A rule that holds when a query finds nothing; only the number of its rows is reported.

    In the query `{batch}` stands for the rows under check and `{schema}` for their schema.
    """
    return Rule(name, "zero_rows", (), {"sql": sql}, severity, description)


def row_count(rows: int, description: str, name: str = "rows__reconcile") -> Rule:
    return Rule(name, "row_count", (), {"rows": rows}, "error", description)


def contract_rules(
    table: Table, year: int, period_end: date | None = None, rows: int | None = None
) -> list[Rule]:
    """The rules a raw table's delivery must meet, from its contract.

    Args:
        table: the table as the whole contract has it (a raw table holds the columns of every
            year); columns and codes of other years are left out here.
        year: the delivery's collection year.
        period_end: last day of the delivery's period; by default 31 August of the year.
        rows: accepted rows according to the ledger, to reconcile with.
    """
    current = [_at(c, year) for c in table.columns if in_force(c, year)]
    names = {c.name for c in current}
    latest = period_end or date(year, 8, 31)
    declared = ROW_KEYS | {c.name: c.sql_type for c in table.columns}
    rules = [*_structure(declared)]
    for column in current:
        rules += _column_rules(column, latest)
    if table.primary_key:
        rules.append(unique(table.primary_key, name="key__unique"))
    rules += [r for r in references(table) if set(r.columns) <= names]
    if rows is not None:
        rules.append(
            row_count(rows, "The table holds as many rows as the ledger says it accepted.")
        )
    return rules


def ledger_rules(
    delivery_id: str,
    table_name: str,
    max_quarantined_share: float,
    ledger: str = "identifiable.ledger.delivery_table",
) -> list[Rule]:
    """Rules on one table's line in the ledger: what came in is accounted for, row by row."""
    line = (
        f"FROM {ledger} WHERE delivery_id = {literal(delivery_id)} "
        f"AND table_name = {literal(table_name)}"
    )
    return [
        zero_rows(
            "ledger__reconciles",
            f"SELECT 1 {line} AND received <> accepted + quarantined",
            "Rows accepted and rows quarantined add up to rows received.",
        ),
        zero_rows(
            "quarantine__share",
            f"SELECT 1 {line} AND quarantined > {float(max_quarantined_share)} * received",
            f"At most {max_quarantined_share:.0%} of the rows received are in quarantine.",
            "warn",
        ),
    ]


def pseudonymised_rules(table: Table, rows: int | None = None) -> list[Rule]:
    """The rules a pseudonymised table must meet: the plan was followed and no identifier is left.

    Args:
        table: the table as the whole contract has it.
        rows: rows of the same delivery in the raw table, to reconcile with.
    """
    outputs = table.pseudonymised()
    keys = dict(ROW_KEYS)
    if table.person_key:
        keys["record_key"] = "BIGINT"
    rules = [*_structure(keys | {o.name: o.sql_type for o in outputs})]
    rules.append(unique(tuple(ROW_KEYS), name="row__unique", filled=True))
    if table.person_key:
        rules.append(not_null("record_key", "warn"))
    rules += _nowhere(
        "text__no_identifier",
        [o.name for o in outputs if o.sql_type == "VARCHAR"],
        HOLDS_NO_IDENTIFIER,
        "No text holds an NHS number, a unique pupil number or a postcode",
    )
    rules += _nowhere(
        "months__first_of_month",
        [o.name for o in outputs if o.treatment == "coarsen_month"],
        IS_FIRST_OF_MONTH,
        "Dates made months are the first day of one",
    )
    for output in outputs:
        if output.treatment == "coarsen_year":
            rules.append(between(output.name, 1900, 2100))
        if output.name.endswith(("lsoa11_code", "lsoa21_code")):
            rules.append(matches(output.name, AREA_CODE))
    kept = {o.name for o in outputs if o.treatment in ("keep", "token")}
    rules += [r for r in references(table) if set(r.columns) <= kept and _joins(r, kept)]
    if rows is not None:
        rules.append(row_count(rows, "As many rows as the raw table has for the delivery."))
    return rules


def references(table: Table) -> Iterator[Rule]:
    """One rule per foreign key: `<column>__exists_in_<table>`, within one delivery."""
    for link in table.relationships:
        yield Rule(
            f"{link.columns[-1]}__exists_in_{link.to_table}",
            "exists_in",
            link.columns,
            {"table": f"{table.feed}__{link.to_table}", "to_columns": link.to_columns},
            "warn",
            f"{' and '.join(link.columns)} refers to a row of {link.to_table} that was delivered.",
        )


def _structure(columns: Mapping[str, str]) -> Iterator[Rule]:
    yield Rule(
        "columns__declared",
        "columns_equal",
        tuple(columns),
        description="The table has exactly the columns its contract declares.",
    )
    yield Rule(
        "columns__typed",
        "types_equal",
        tuple(columns),
        {"types": tuple(columns.values())},
        description="Every column has the type its contract declares.",
    )


def _column_rules(column: Column, latest: date) -> Iterator[Rule]:
    if column.required:
        yield not_null(column.name)
    if column.unique and column.primary_key_position is None:
        yield unique((column.name,), "warn")
    if column.codeset and column.type != "boolean":
        yield in_set(column.name, _codes(column))
    if column.identifier_type:
        predicate, words = _FORMATS[column.identifier_type]
        yield Rule(
            f"{column.name}__format",
            "satisfies",
            (column.name,),
            {"predicate": predicate},
            "warn",
            f"{column.name} {words}.",
        )
    elif column.pattern and column.type == "string":
        yield matches(column.name, column.pattern)
    minimum, maximum = _bound(column, column.minimum), _bound(column, column.maximum)
    if column.linkage_role == "birth_date" and column.type in ("date", "timestamp"):
        minimum = minimum if minimum is not None else EARLIEST_BIRTH
        maximum = maximum if maximum is not None else latest
    if minimum is not None or maximum is not None:
        yield between(column.name, minimum, maximum)


def _nowhere(name: str, columns: Sequence[str], predicate: str, text: str) -> Iterator[Rule]:
    """One rule over several columns: no row breaks the predicate in any of them."""
    if columns:
        given = {"predicate": predicate}
        about = f"{text}: {', '.join(columns)}."
        yield Rule(name, "satisfies", tuple(columns), given, description=about)


def _joins(rule: Rule, kept: set[str]) -> bool:
    """Whether a foreign key still means the same after pseudonymisation: same names, same keys."""
    return set(rule.arguments["to_columns"]) <= kept | {"record_key"}


def _at(column: Column, year: int) -> Column:
    return replace(column, codeset=column.codeset.at(year)) if column.codeset else column


def _codes(column: Column) -> Iterator[Any]:
    """The codes in the column's own type; those it cannot hold are left out."""
    parse = {"integer": int, "number": float}.get(column.type, str)
    for code in column.codeset.values if column.codeset else ():
        try:
            yield parse(code)
        except ValueError:
            continue


def _bound(column: Column, bound: Any) -> Any:
    """A contract's bound in the column's own type (YAML writes dates as text)."""
    if isinstance(bound, str) and column.type == "date":
        return date.fromisoformat(bound)
    if isinstance(bound, str) and column.type == "timestamp":
        return datetime.fromisoformat(bound)
    return bound


def delivery_filter(delivery_id: str) -> str:
    """The condition that leaves one delivery's rows."""
    return f"{quoted('delivery_id')} = {literal(delivery_id)}"
