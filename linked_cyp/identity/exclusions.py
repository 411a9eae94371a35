"""Source persons that are never linked to anybody: ``exclusions.toml``, checked and applied.

A rule that cannot hold is refused rather than skipped: silence would be read as protection.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

from linked_cyp.contracts.model import Contract, Relationship, Table
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.sql import literal, quoted

FILE = Path(__file__).with_name("exclusions.toml")
# What a system writes that exports labels and not codes.
WORDS = {"adoption": "ADOPT"}


@dataclass(frozen=True)
class Exclusion:
    """Rows that take their source person out of linkage."""

    feed: str
    table: str
    column: str
    reason: str
    values: tuple[str, ...] = ()

    def condition(self) -> str:
        """SQL over a row ``t``; any value but false, 0 and blank counts where none is named.

        A value named counts in any case and with anything behind it that is not of the same word
        (a label, ``.0``), and so does the reason's own word in place of the code.
        """
        column = f"t.{quoted(self.column)}::VARCHAR"
        if self.values:
            listed = "|".join(re.escape(value) for value in self.values)
            words = f"|{WORDS[self.reason]}" if self.reason in WORDS else ""
            spelt = literal(f"^[^A-Z0-9]*0*({listed})([^A-Z0-9]|$){words}")
            return f"regexp_matches(upper(trim({column})), {spelt})"
        return f"lower(trim({column})) NOT IN ('', '0', 'false')"

    @property
    def is_mark(self) -> bool:
        """Whether any value counts: a flag, whose unreadable value counts as well."""
        return not self.values

    def parts(self) -> tuple[str, ...]:
        """The rule as texts, one for each value that it names."""
        where = f"{self.table}.{self.column}"
        return tuple(f"{self.reason}: {where} {value}" for value in self.values or ("*",))


@cache
def exclusions(file: Path = FILE) -> tuple[Exclusion, ...]:
    """The rules of a file."""
    return tuple(
        Exclusion(**{**item, "values": tuple(item.get("values", ()))})
        for item in tomllib.loads(file.read_text(encoding="utf-8"))["exclusion"]
    )


def marks(feed: str, table: str) -> tuple[str, ...]:
    """Columns of a table in which any value but no protects its person."""
    return tuple(
        sorted({e.column for e in exclusions() if (e.feed, e.table) == (feed, table) and e.is_mark})
    )


def sensitive_marks(feed: str, table: str) -> set[str]:
    """Those without which nobody of a delivery can be known as sensitive."""
    return {
        e.column
        for e in exclusions()
        if (e.feed, e.table) == (feed, table) and e.is_mark and e.reason in left_out_reasons()
    }


def in_force(feed: str) -> tuple[str, ...]:
    """All that excludes somebody by a feed's rows, as texts to be kept and compared later."""
    return tuple(sorted({part for e in exclusions() if e.feed == feed for part in e.parts()}))


@cache
def spreading_reasons(file: Path = FILE) -> tuple[str, ...]:
    """Reasons that hold for every record that shares an identifier with a marked one."""
    return tuple(tomllib.loads(file.read_text(encoding="utf-8"))["spreading"])


@cache
def left_out_reasons(file: Path = FILE) -> tuple[str, ...]:
    """Reasons for which a record has no person, so that no research table holds it."""
    return tuple(tomllib.loads(file.read_text(encoding="utf-8"))["left_out"])


def check(
    rules: Sequence[Exclusion],
    contracts: Mapping[str, Contract],
    stored: Mapping[str, set[str]],
) -> None:
    """Refuse rules that cannot take effect.

    Args:
        rules: what to check.
        contracts: contracts by feed.
        stored: columns of each raw table that is there.

    Raises:
        LinkedCypError: a rule names a feed, table or column that no contract has, a table whose
            rows belong to no person, or a column that the raw table does not have.
    """
    for rule in rules:
        where = f"{rule.feed}.{rule.table}.{rule.column}"
        contract = contracts.get(rule.feed)
        table = contract.tables.get(rule.table) if contract else None
        if contract is None or table is None or rule.column not in {c.name for c in table.columns}:
            raise LinkedCypError(f"exclusions.toml names {where}, which no contract describes")
        if keyed_table(contract, table)[0] is None:
            raise LinkedCypError(f"exclusions.toml names {where}: its rows belong to no person")
        if rule.column not in stored.get(table.table_name, {rule.column}):
            raise LinkedCypError(f"the raw table of {where} lacks this column: nobody is excluded")


def keyed_table(contract: Contract, table: Table) -> tuple[Table | None, Relationship | None]:
    """The table that says whose a row is: itself, or the one it refers to."""
    if table.person_key:
        return table, None
    for link in table.relationships:
        parent = contract.tables[link.to_table]
        if parent.person_key:
            return parent, link
    return None, None


def spread(con: duckdb.DuckDBPyConnection, reasons: Sequence[str]) -> int:
    """Exclude every record that shares an NHS number, UPN or local id with an excluded one.

    Applies to ``linkage.main.person_record`` until nothing changes, former numbers included. A
    reason to leave a record out takes the place of one to keep it alone.

    Returns:
        Number of source persons excluded in this way.
    """
    known = "SELECT record_key, exclusion, unnest([nhs, upn, la_child]) AS number FROM"
    first = list(left_out_reasons())
    found = 0
    while True:
        # Numbers of different kinds are tokens under different keys: they do not meet.
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE spreading AS
            WITH known AS ({known} linkage.main.person_record)
            SELECT o.record_key, coalesce(
                min(m.exclusion) FILTER (list_contains($first, m.exclusion)), min(m.exclusion)
            ) AS exclusion
            FROM known o JOIN known m USING (number)
            WHERE list_contains($reasons, m.exclusion) AND (o.exclusion IS NULL
                OR list_contains($reasons, o.exclusion) AND NOT list_contains($first, o.exclusion)
                AND list_contains($first, m.exclusion))
            GROUP BY o.record_key
            """,
            {"reasons": list(reasons), "first": first},
        )
        new = con.execute("SELECT count(*) FROM spreading").fetchall()[0][0]
        if new:
            con.execute(
                "UPDATE linkage.main.person_record p SET exclusion = s.exclusion"
                " FROM spreading s WHERE s.record_key = p.record_key"
            )
        con.execute("DROP TABLE spreading")
        found += new
        if not new:
            return found
