"""The shapes that the Department's rules repeat, each a function from parameters to SQL.

A rule in ``data_contracts/rules`` names one mechanism (or ``where``/``query`` for a condition of
its own). A row mechanism gives the condition under which a row of the rule's table fails; a query
mechanism gives a FROM clause and the tables whose rows it flags, by alias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.sql import literal

Codes = Callable[[str], Sequence[str]]
"""The values of a named code set that are in force in the collection year."""


@dataclass(frozen=True)
class Flags:
    """Rows to flag: ``query`` is what follows FROM, ``aliases`` maps its aliases to tables."""

    query: str
    aliases: Mapping[str, str]


def _one_of(field: str, codes: str | Sequence[str], codeset: Codes) -> str:
    values = codeset(codes) if isinstance(codes, str) else codes
    return f"{field} IN ({', '.join(literal(str(v)) for v in values)})"


def _allowed(spec: Mapping[str, Any], codeset: Codes) -> str:
    """Given, but not one of the codes."""
    return " OR ".join(f"NOT {_one_of(f, codes, codeset)}" for f, codes in spec.items())


def _required_code(spec: Mapping[str, Any], codeset: Codes) -> str:
    """Not given, or not one of the codes."""
    return " OR ".join(f"({_one_of(f, codes, codeset)}) IS NOT TRUE" for f, codes in spec.items())


def _required_codes(spec: Mapping[str, Any], codeset: Codes) -> str:
    """Lists with commas: not given, or one of them is not one of the codes."""
    return " OR ".join(
        f"{f} IS NULL OR len(list_filter(string_split({f}, ','), "
        f"lambda one: NOT {_one_of('trim(one)', codes, codeset)})) > 0"
        for f, codes in spec.items()
    )


def _valid_date(field: str, codeset: Codes) -> str:
    return f"{field}_text IS NOT NULL AND {field} IS NULL"


def _required_date(field: str, codeset: Codes) -> str:
    return f"{field} IS NULL"


def _ordered(fields: Sequence[str], codeset: Codes) -> str:
    """The first date is after the second."""
    return f"{fields[0]} > {fields[1]}"


def _all_or_none(fields: Sequence[str], codeset: Codes) -> str:
    listed = ", ".join(fields)
    return f"len(list_filter([{listed}], x -> x IS NOT NULL)) BETWEEN 1 AND {len(fields) - 1}"


def _required(fields: str | Sequence[str], codeset: Codes) -> str:
    return " OR ".join(f"{f} IS NULL" for f in _listed(fields))


def _blank(fields: str | Sequence[str], codeset: Codes) -> str:
    return f"coalesce({', '.join(f'{f}::VARCHAR' for f in _listed(fields))}) IS NOT NULL"


def _where(condition: str, codeset: Codes) -> str:
    return condition


def _listed(fields: str | Sequence[str]) -> Sequence[str]:
    return [fields] if isinstance(fields, str) else fields


ROW: Mapping[str, Callable[[Any, Codes], str]] = {
    "allowed": _allowed,
    "required_code": _required_code,
    "required_codes": _required_codes,
    "valid_date": _valid_date,
    "required_date": _required_date,
    "ordered": _ordered,
    "all_or_none": _all_or_none,
    "required": _required,
    "blank": _blank,
    "where": _where,
}


def _exists_in(table: str, other: str, key: str) -> Flags:
    """A row whose child the other table does not have."""
    return Flags(f"{table} t ANTI JOIN {other} o USING ({key})", {"t": table})


def _same_in(table: str, spec: Mapping[str, str], key: str) -> Flags:
    """A row that disagrees with the other table's row of the same child, both given."""
    field, other = spec["field"], spec["table"]
    return Flags(
        f"{table} t SEMI JOIN {other} o ON t.{key} = o.{key} AND t.{field} <> o.{field}",
        {"t": table},
    )


def _once(table: str, fields: Sequence[str], key: str) -> Flags:
    """Rows that share their values of these fields with another row."""
    listed = ", ".join(fields)
    given = " AND ".join(f"{f} IS NOT NULL" for f in fields)
    return Flags(
        f"(FROM {table} WHERE {given} QUALIFY count(*) OVER (PARTITION BY {listed}) > 1) t",
        {"t": table},
    )


def _as_last_year(table: str, field: str, key: str) -> Flags:
    """A row that disagrees with last year's row of the same child; both blank agree."""
    return Flags(
        f"{table} t SEMI JOIN {table}_last o "
        f"ON t.{key} = o.{key} AND t.{field} IS DISTINCT FROM o.{field}",
        {"t": table},
    )


def _starts_as_left(table: str, field: str, key: str) -> Flags:
    """A child's first episode that disagrees with the episode open at the end of last year."""
    return Flags(
        f"ordered_episodes t JOIN open_last_year o USING ({key}) "
        f"WHERE t.is_first AND t.{field} IS DISTINCT FROM o.{field}",
        {"t": table},
    )


def _starts_within(table: str, spec: Mapping[str, Any], key: str) -> Flags:
    """Two periods of which one starts within the other, the last day included.

    A period without an end lasts to the end of the collection year.
    """
    start, end = spec["start"], spec["end"]
    same = " AND ".join(f"t.{f} = o.{f}" for f in spec["by"])
    return Flags(
        f"{table} t JOIN {table} o ON {same} AND t.row_id <> o.row_id "
        f"AND t.{start} BETWEEN o.{start} AND coalesce(o.{end}, year_end())",
        {"t": table, "o": table},
    )


ACROSS: Mapping[str, Callable[[str, Any, str], Flags]] = {
    "exists_in": _exists_in,
    "same_in": _same_in,
    "once": _once,
    "as_last_year": _as_last_year,
    "starts_as_left": _starts_as_left,
    "starts_within": _starts_within,
}

MECHANISMS = frozenset(ROW) | frozenset(ACROSS) | {"query"}


def condition(entry: Mapping[str, Any], table: str | None, key: str, codeset: Codes) -> str | Flags:
    """The condition of one rule entry: SQL over a row of ``table``, or a query with its flags.

    Raises:
        LinkedCypError: the entry names no mechanism, several, or one without its table.
    """
    named = [name for name in entry if name in MECHANISMS]
    if len(named) != 1:
        raise LinkedCypError(f"rule {entry.get('code')}: names {len(named)} mechanisms, not one")
    (name,) = named
    if name == "query":
        return Flags(entry["query"], entry["flag"])
    if table is None:
        raise LinkedCypError(f"rule {entry.get('code')}: {name} needs a table")
    if name in ACROSS:
        return ACROSS[name](table, entry[name], key)
    failing = ROW[name](entry[name], codeset)
    return f"({entry['when']}) AND ({failing})" if "when" in entry else failing
