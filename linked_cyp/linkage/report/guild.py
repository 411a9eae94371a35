"""What researchers should be told about a linkage, from the run itself.

The headings are those of GUILD, the guidance for information about linking data sets (Gilbert et
al. 2018, Journal of Public Health 40:191): what the data provider knows, what the linker knows, and
what the researcher should make of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.pseudonymised import DELIVERIES
from linked_cyp.core.sql import exists
from linked_cyp.linkage.report.quality import shown_count


@dataclass(frozen=True)
class Source:
    """One source of person records, as researchers are told of it."""

    feed: str
    title: str
    description: str
    limitations: str
    legal_basis: str
    suppliers: int
    deliveries: int
    first_period: str
    last_period: str
    rows_received: str  # as shown
    rows_accepted: str
    records: str
    filled: tuple[tuple[str, str], ...]  # linking field, share filled (text)


def sources(
    con: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    records: Mapping[str, float],
    filled: Mapping[str, tuple[tuple[str, str], ...]],
) -> list[Source]:
    """Every feed that has person records, in alphabetical order.

    Args:
        con: connection with ``warehouse``.
        records: source persons by feed.
        filled: by feed, how much of each linking field is filled.
    """
    told = {}
    if exists(con, DELIVERIES):
        told = {
            row[0]: row[1:]
            for row in con.execute(
                f"""SELECT feed, count(DISTINCT supplier), count(*), min(period), max(period),
                       sum(rows_received), sum(rows_accepted)
                   FROM {DELIVERIES} WHERE status = 'accepted' GROUP BY feed"""
            ).fetchall()
        }
    found = []
    for feed in sorted(records):
        contract = contracts.get(feed)
        suppliers, deliveries, first, last, received, accepted = told.get(
            feed, (0, 0, "", "", None, None)
        )
        found.append(
            Source(
                feed=feed,
                title=contract.title if contract else feed,
                description=_one_line(contract.description) if contract else "",
                limitations=_one_line(contract.limitations) if contract else "",
                legal_basis=_one_line(contract.legal_basis) if contract else "",
                suppliers=suppliers,
                deliveries=deliveries,
                first_period=str(first),
                last_period=str(last),
                rows_received=shown_count(received),
                rows_accepted=shown_count(accepted),
                records=shown_count(records[feed]),
                filled=filled.get(feed, ()),
            )
        )
    return found


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
