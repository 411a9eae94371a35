"""Source persons that are never linked to anybody: ``excludes`` of the contracts, applied.

An adopted child gets new identifiers everywhere, and no record says which old ones they replace. A
link across would undo that secrecy; it needs explicit approval, so it is off. Every row that a
column's ``excludes`` marks takes its person out of scoring before any pair can exist. They keep
their own records and a person id of their own. Placement for adoption counts as well: the new life
begins there, often with the same carers.

A rule that cannot hold is refused rather than skipped: silence would be read as protection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from linked_cyp.contracts.model import Contract, Relationship, Table
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.sql import literal, quoted

# What a system writes that exports labels and not codes.
WORDS = {"adoption": "ADOPT"}
# Reasons that hold for every record with an NHS number, UPN or local id of a marked record, former
# numbers included: a child in need census row, say, that would lead to the old name; or a hospital
# stay that would tell where a child lives whom the spine protects. Not ``superseded``: the records
# that still carry an old number belong to the child of the new one.
SPREADING = ("adoption", "sensitive")
# Reasons for which a record has no person at all, so that it is in no research table. They count
# before others.
LEFT_OUT = ("sensitive",)


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


def exclusions(contracts: Iterable[Contract]) -> tuple[Exclusion, ...]:
    """What the columns of contracts say of who is kept out."""
    return tuple(
        Exclusion(contract.feed, table.name, c.name, c.excludes.reason, c.excludes.values)
        for contract in contracts
        for table in contract.tables.values()
        for c in table.columns
        if c.excludes
    )


def marks(table: Table) -> tuple[str, ...]:
    """Columns of a table in which any value but no protects its person."""
    return tuple(sorted(c.name for c in table.columns if c.excludes and not c.excludes.values))


def must_be_there(contract: Contract, table: Table) -> set[str]:
    """Columns without which nobody of a table can be known as marked, in the years that have them.

    A termly return asks for a code in one term only, and then other terms have no such column.
    """
    codes_too = contract.period_kind != "academic_term"
    return {c.name for c in table.columns if c.excludes and (codes_too or not c.excludes.values)}


def sensitive_marks(table: Table) -> set[str]:
    """Those without which nobody of a delivery can be known as sensitive."""
    return {
        c.name
        for c in table.columns
        if c.excludes and not c.excludes.values and c.excludes.reason in LEFT_OUT
    }


def in_force(contract: Contract) -> tuple[str, ...]:
    """All that excludes somebody by a feed's rows, as texts to be kept and compared later."""
    return tuple(sorted({part for e in exclusions([contract]) for part in e.parts()}))


def check(contracts: Mapping[str, Contract], stored: Mapping[str, set[str]]) -> None:
    """Refuse exclusions that cannot take effect.

    Args:
        contracts: contracts by feed.
        stored: columns of each raw table that is there.

    Raises:
        LinkedCypError: one stands on a table whose rows belong to no person, or on a column that
            the raw table does not have.
    """
    for rule in exclusions(contracts.values()):
        where = f"{rule.feed}.{rule.table}.{rule.column}"
        table = contracts[rule.feed].tables[rule.table]
        if keyed_table(contracts[rule.feed], table)[0] is None:
            raise LinkedCypError(f"{where} excludes, but its rows belong to no person")
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
    first = list(LEFT_OUT)
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
