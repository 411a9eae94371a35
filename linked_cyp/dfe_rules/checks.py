"""The rules as checks on the raw tables of a stored delivery: names, verdicts and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.core.sql import literal, quoted
from linked_cyp.dfe_rules.delivery import stored_counts
from linked_cyp.dfe_rules.rules import Rule, definitions, feeds_with_rules, has_rules, load_rules
from linked_cyp.expectations import CheckOutcome
from linked_cyp.ingest import ledger
from linked_cyp.ingest.encoded import received

NOT_RUN = "not run: needs another table, last year's return or facts that no return holds"
NOT_CLEAR = "not checked: needs clear values"
Verdicts = dict[str, list[CheckOutcome]]


@dataclass(frozen=True)
class PublishedRule:
    """The check of one rule, in whichever years it is in force; ``table`` is the contract's."""

    name: str
    table: str
    description: str


def published(contract: Contract) -> tuple[PublishedRule, ...]:
    """The checks of every rule of a return, each on the first table in which it flags rows.

    A rule's text is that of the last year it is in force. None for a feed without rules.
    """
    if contract.feed not in feeds_with_rules():
        return ()
    found: dict[str, PublishedRule] = {}
    first, last = definitions(contract.feed).years
    for year in range(last, first - 1, -1):
        for rule in load_rules(contract.feed, year):
            name = _check(contract.feed, rule)
            if name not in found:
                found[name] = PublishedRule(
                    name,
                    _tables(contract, rule)[0],
                    f"Rule {rule.code} of the Department for Education: {rule.message}",
                )
    return tuple(sorted(found.values(), key=lambda r: r.name))


def judged(
    con: duckdb.DuckDBPyConnection, contract: Contract, delivery_id: str, *, is_encoded: bool
) -> Verdicts:
    """The verdicts on one stored delivery, by table of the contract: warnings, never more.

    Only rules in force in the delivery's collection year have one. Those that lack a table, last
    year's return or other facts pass with the mark :data:`NOT_RUN`; those of a delivery that came
    encoded with :data:`NOT_CLEAR`. Last year's return is the one of the same supplier that counts.

    Args:
        con: has the identifiable store as ``identifiable``.

    Raises:
        LinkedCypError: a rule cannot run.
    """
    year = contract.collection_year(delivery_id.split(".")[1])
    in_force = rules_in_force(contract, year)
    rows = {} if is_encoded or not in_force else _rows(con, delivery_id)
    counts: Mapping[str, int] = {}
    if rows:
        counts = stored_counts(
            con,
            contract,
            year,
            {name: _relation(contract, name, delivery_id) for name in rows},
            _last_year(con, contract, delivery_id, year - 1),
        )
    verdicts: Verdicts = {}
    for rule in in_force:
        tables = _tables(contract, rule)
        metrics = {NOT_CLEAR if is_encoded else NOT_RUN: 1}
        failing = counts.get(rule.code)
        if failing is not None:
            metrics = {
                "element_count": sum(rows.get(name, 0) for name in tables),
                "unexpected_count": failing,
            }
        verdicts.setdefault(tables[0], []).append(
            CheckOutcome(
                _check(contract.feed, rule), not failing, "warn", rule.message, dict(metrics)
            )
        )
    return verdicts


def rules_in_force(contract: Contract, year: int) -> tuple[Rule, ...]:
    """The return's rules in a collection year; none for years whose rules are not known."""
    return load_rules(contract.feed, year) if has_rules(contract.feed, year) else ()


def _check(feed: str, rule: Rule) -> str:
    return f"rule_{definitions(feed).short}_{rule.code.lower()}"


def _tables(contract: Contract, rule: Rule) -> list[str]:
    """The contract's tables in which a rule flags rows, by our names."""
    ours = {table.physical_name.lower(): name for name, table in contract.tables.items()}
    layouts = definitions(contract.feed).tables
    names = []
    for table in rule.tables:
        other = layouts[table].aliases.get("table", "")
        names.append(ours.get(table.lower()) or ours[other.lower()])
    return names


def _rows(con: duckdb.DuckDBPyConnection, delivery_id: str) -> dict[str, int]:
    """Accepted rows by table that the delivery held."""
    found = con.execute(
        f"SELECT table_name, accepted FROM {ledger.TABLE} WHERE delivery_id = ?", [delivery_id]
    ).fetchall()
    return dict(found)


def _relation(contract: Contract, name: str, delivery_id: str) -> str:
    table = quoted(contract.tables[name].table_name)
    return f"(FROM identifiable.raw.{table} WHERE delivery_id = {literal(delivery_id)})"


def _last_year(
    con: duckdb.DuckDBPyConnection, contract: Contract, delivery_id: str, year: int
) -> dict[str, str]:
    """The tables of the supplier's return of the year before, if there are clear rows of it."""
    found = con.execute(
        f"SELECT delivery_id FROM {ledger.CURRENT} WHERE supplier = ? AND feed = ? "
        "AND collection_year = ? AND status = 'accepted' ORDER BY period DESC LIMIT 1",
        [delivery_id.split(".")[0], contract.feed, year],
    ).fetchone()
    if found is None or received.is_held(con, found[0]):
        return {}
    return {name: _relation(contract, name, found[0]) for name in _rows(con, found[0])}
