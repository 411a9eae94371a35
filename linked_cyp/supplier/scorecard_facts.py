"""What is known of the deliveries that count, as parts of a whole that are good.

Read from what the platform wrote down anyway: the ledger (when a delivery came, its cells by
column, its rows by reason), the verdicts of the checks, and for schools the raw tables' counts by
school. Nothing here is rounded; :mod:`linked_cyp.supplier.scorecard` shows it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb

from linked_cyp.contracts.model import Column, Contract, Table
from linked_cyp.core import disclosure
from linked_cyp.core.sql import quoted
from linked_cyp.expectations.rules import subject
from linked_cyp.ingest import ledger, periods
from linked_cyp.ingest.readers.staging import HARMLESS
from linked_cyp.ingest.step import every_raw_rule
from linked_cyp.stores import provenance

About = tuple[str, ...]  # what a fact is about; () is the whole measure
_BY_SCHOOL = ("school_urn", "school_id")  # the first that a table has tells its schools apart


@dataclass
class Part:
    """How much of a whole (rows, cells) is good."""

    good: int = 0
    whole: int = 0

    @property
    def bad(self) -> int:
        return self.whole - self.good

    @property
    def share(self) -> float | None:
        """As small numbers demand; None where there is nothing or too little to tell."""
        return disclosure.share(self.good, self.whole)


def _no_facts() -> dict[str, dict[About, Part]]:
    return defaultdict(lambda: defaultdict(Part))


@dataclass
class Delivered:
    """A supplier's delivery that counts for a period.

    ``days`` from the end of the period to the first delivery of it (negative: before the end);
    ``refused`` counts the deliveries of the period that were refused; ``facts`` by measure.
    """

    supplier: str
    feed: str
    period: str
    days: int
    rows: int
    refused: int
    facts: dict[str, dict[About, Part]] = field(default_factory=_no_facts)

    def add(self, measure: str, about: About, good: int, whole: int) -> None:
        for key in {about, ()}:
            part = self.facts[measure][key]
            part.good, part.whole = part.good + good, part.whole + whole

    def share(self, measure: str, about: About = ()) -> float | None:
        part = self.facts.get(measure, {}).get(about)
        return part.share if part else None


def deliveries(
    con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract]
) -> list[Delivered]:
    """Every delivery that counts, measured; the newest period first.

    Args:
        con: has the identifiable store as ``identifiable``.
    """
    rows = con.execute(
        "SELECT any_value(delivery_id) FILTER (status = 'accepted'), supplier, feed, period, "
        "min(received_at)::DATE, any_value(rows_received) FILTER (status = 'accepted'), "
        f"count(*) FILTER (status = 'rejected') FROM {ledger.CURRENT} WHERE list_contains(?, feed) "
        "GROUP BY supplier, feed, period HAVING bool_or(status = 'accepted') "
        "ORDER BY period DESC, feed, supplier",
        [list(contracts)],
    ).fetchall()
    found = {
        delivery_id: Delivered(
            supplier, feed, period, (came - periods.span(contracts[feed], period)[1]).days, *counts
        )
        for delivery_id, supplier, feed, period, came, *counts in rows
    }
    _count_cells(con, contracts, found)
    _count_reasons(con, found)
    _count_verdicts(con, contracts, found)
    _count_schools(con, contracts, found)
    return list(found.values())


def refusals(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str, int]]:
    """(supplier, feed, period, times) of the periods of which nothing counts."""
    return con.execute(
        f"SELECT supplier, feed, period, count(*) FROM {ledger.CURRENT} GROUP BY ALL "
        "HAVING NOT bool_or(status = 'accepted') AND bool_or(status = 'rejected') "
        "ORDER BY period DESC, supplier, feed"
    ).fetchall()


def _count_cells(
    con: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    found: Mapping[str, Delivered],
) -> None:
    """The cells of the columns; a declared column that is not there is blank in every row."""
    for delivery_id, table, name, rows, filled, lost in con.execute(
        "SELECT delivery_id, table_name, column_name, coalesce(c.rows, t.received, 0), "
        f"coalesce(filled, 0), coalesce(lost, 0) FROM {ledger.COLUMN} c "
        f"LEFT JOIN {ledger.TABLE} t USING (delivery_id, table_name) ORDER BY ALL"
    ).fetchall():
        delivered = found.get(delivery_id)
        column = delivered and column_of(contracts[delivered.feed], table, name)
        if not delivered or not column or not rows:
            continue
        delivered.add("readable", (), filled - lost, filled)
        if column.critical:
            delivered.add("critical", (table, name), filled, rows)
        if column.linkage_role:
            delivered.add("link_keys", (column.linkage_role,), filled - lost, rows)


def _count_reasons(con: duckdb.DuckDBPyConnection, found: Mapping[str, Delivered]) -> None:
    """The rows that were set aside, each under the first of its reasons only."""
    for delivered in found.values():
        delivered.add("taken", (), delivered.rows, delivered.rows)
    for delivery_id, table, column, rule, rows in con.execute(
        "SELECT delivery_id, coalesce(table_name, ''), coalesce(column_name, ''), rule, sum(rows) "
        f"FROM {ledger.REJECTED} WHERE scope IN ('row', 'file') AND NOT list_contains(?, rule) "
        "GROUP BY ALL ORDER BY ALL",
        [list(HARMLESS)],
    ).fetchall():
        if delivery_id in found and rows:
            found[delivery_id].add("taken", (table, column, rule), -int(rows), 0)


def _count_verdicts(
    con: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    found: Mapping[str, Delivered],
) -> None:
    """Rows by what a check is about; a check that did not run says nothing."""
    if not provenance.is_kept(con, "identifiable"):
        return
    subjects = {
        (f"raw/{contract.feed}/{table.name}", rule.name): subject(rule)
        for contract in contracts.values()
        for table in contract.tables.values()
        for rule in every_raw_rule(contract, table)
    }
    for delivery_id, asset, check, checked, broken in con.execute(
        "SELECT delivery_id, asset, check_name, "
        "try_cast(metrics->>'element_count' AS BIGINT) AS checked, "
        "try_cast(metrics->>'unexpected_count' AS BIGINT) AS broken "
        "FROM identifiable.provenance.check_result WHERE starts_with(asset, 'raw/') "
        "AND checked > 0 AND broken IS NOT NULL ORDER BY ALL"
    ).fetchall():
        is_published = check.startswith("rule_")
        measure = "dfe" if is_published else subjects.get((asset, check))
        if measure and delivery_id in found:
            about = (check,) if is_published else ()
            found[delivery_id].add(measure, about, checked - broken, checked)


def _count_schools(
    con: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    found: Mapping[str, Delivered],
) -> None:
    """Link keys by school, in the tables of pupils that say which school is meant."""
    stored = {name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    for feed in {delivered.feed for delivered in found.values()}:
        for table in contracts[feed].tables.values():
            school = next((c for c in _BY_SCHOOL if c in {x.name for x in table.columns}), None)
            keys = [quoted(c.name) for c in table.columns if c.linkage_role]
            if not school or not keys or table.table_name not in stored:
                continue
            for delivery_id, number, filled, rows in con.execute(
                f"SELECT delivery_id, {school}, {' + '.join(f'count({key})' for key in keys)}, "
                f"count(*) FROM identifiable.raw.{quoted(table.table_name)} "
                f"WHERE {school} IS NOT NULL GROUP BY ALL ORDER BY ALL"
            ).fetchall():
                if delivery_id in found:
                    found[delivery_id].add("schools", (number,), filled, rows * len(keys))


def column_of(contract: Contract, table: str, name: str) -> Column | None:
    of: Table | None = contract.tables.get(table)
    return next((c for c in of.columns if c.name == name), None) if of else None
