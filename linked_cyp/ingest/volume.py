"""Whether a delivery is as large as it should be: rows by table, against what came before.

A file that was cut at the end of a line, filtered before it was saved, or pasted twice reads well
and is wrong in every number that is counted from it. Nothing inside it says so; the supplier's own
earlier deliveries do, and for a supplier's first delivery the others' of the same period. What is
out of the limits is refused, until the operator says that it is right
(:func:`linked_cyp.ingest.ledger.allow_worse`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.vocabulary import GOVERNANCE
from linked_cyp.ingest.landing import LandedDelivery
from linked_cyp.ingest.ledger import CURRENT, TABLE, UNLESS_TOLD, is_allowed

# Standard deviations of a count: small tables vary by chance, and are not refused for that.
NOISE = 4.0
FEWEST_ROWS = 30  # of a smaller table no size is odd
FEWEST_EXPECTED = 7  # that a smaller table has no row at all may be chance
LEAST_MONTHS = 3
LEAST_OTHERS = 3  # suppliers, before their median says anything


@dataclass(frozen=True)
class Limits:
    """Shares of the rows that were to be expected, between which a table's rows must lie.

    ``least`` and ``most`` are of the median of the same supplier's other periods, ``least_others``
    of the median of other suppliers' tables for the same period: authorities differ in size.
    """

    least: float = 0.6
    most: float = 1.8
    least_others: float = 0.02


MONTHS = {"least": 0.25, "most": 4.0}  # extracts of months are of different length


def limits(contract: Contract) -> Limits:
    """The contract's own (custom property ``volumeLimits``), else the default."""
    usual = MONTHS if contract.period_kind == "month" else {}
    return Limits(**{**usual, **contract.volume_limits})


def refusals(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    landed: LandedDelivery,
    received: Mapping[str, int],
) -> Iterator[str]:
    """Why a delivery cannot be taken for its size, one sentence for each table.

    Tables that hold one row for each child or event of a child are judged by their size, details of
    them only when there are none at all.

    Args:
        con: has the ledger.
        contract: the feed's contract.
        landed: the delivery.
        received: rows by table, those of tables that are not in it left out.
    """
    if is_allowed(con, landed.delivery_id):
        return
    allowed = limits(contract)
    own, others = _before(con, landed)
    for table, declared in contract.tables.items():
        rows = received.get(table, 0)
        earlier = _comparable(contract, landed.period, own, table)
        counts_people = bool(declared.person_key)
        if earlier and contract.domain == GOVERNANCE:  # such a list may grow, and is never half
            yield from _out_of(table, rows, median(earlier), allowed.least, None, "its own")
        elif earlier and (counts_people or not rows):
            yield from _out_of(table, rows, median(earlier), allowed.least, allowed.most, "its own")
        elif counts_people and len(others.get(table, [])) >= LEAST_OTHERS:
            usual = median(others[table])
            yield from _out_of(table, rows, usual, allowed.least_others, None, "other suppliers'")


def _out_of(
    table: str, rows: int, usual: float, least: float, most: float | None, whose: str
) -> Iterator[str]:
    noise = NOISE * (usual + rows) ** 0.5  # of the difference of two counts
    few = rows < least * usual and usual - rows > noise
    many = most is not None and rows > most * usual and rows - usual > noise
    gone = not rows and usual >= FEWEST_EXPECTED
    if gone or ((few or many) and max(rows, usual) >= FEWEST_ROWS):
        yield (
            f"{table} has {rows} rows, and {usual:.0f} in {whose} other deliveries (median): too "
            f"{'few' if few or gone else 'many'}, {UNLESS_TOLD}"
        )


def _comparable(
    contract: Contract, period: str, own: Mapping[str, Mapping[str, int]], table: str
) -> list[int]:
    """Rows of a table in the periods that can be compared with this one.

    Of terms and months, those of the same season of other years where there are any: some tables
    come in one term only, and August has no school. Else every other period, for a table that each
    of them has; of terms for a table that must be there, of months only when they are several, as
    extracts of months are of different length.
    """
    others = {p: counts.get(table, 0) for p, counts in own.items()}
    if contract.period_kind in ("academic_term", "month"):
        same = [n for p, n in others.items() if p[4:] == period[4:]]
        if same:
            return same if all(same) else []
        if contract.period_kind == "month" and len(others) < LEAST_MONTHS:
            return []
        if contract.period_kind == "academic_term" and not contract.tables[table].required:
            return []
    return list(others.values()) if all(others.values()) else []


def _before(
    con: duckdb.DuckDBPyConnection, landed: LandedDelivery
) -> tuple[dict[str, dict[str, int]], dict[str, list[int]]]:
    """Rows of the supplier's own accepted deliveries, by period and table; and of the others' for
    this period, by table."""
    own: dict[str, dict[str, int]] = {}
    others: dict[str, list[int]] = {}
    for supplier, period, table, rows in con.execute(
        f"SELECT c.supplier, c.period, t.table_name, t.received FROM {CURRENT} c JOIN {TABLE} t"
        " USING (delivery_id) WHERE c.status = 'accepted' AND c.feed = ? AND c.delivery_id <> ?",
        [landed.feed, landed.delivery_id],
    ).fetchall():
        if supplier == landed.supplier:
            own.setdefault(period, {})[table] = rows
        elif period == landed.period:
            others.setdefault(table, []).append(rows)
    return own, others
