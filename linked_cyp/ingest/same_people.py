"""Whether a delivery's people are who they were: the same birth date, sex and name as before.

A column that was sorted alone, pasted a row too low, swapped with its neighbour or filled down
reads well: each value is a birth date. Whose it is, the supplier's own earlier delivery says. What
differs for many of those who were in it is refused, until the operator says that it is right
(:func:`linked_cyp.ingest.ledger.allow_worse`). Some signs need no earlier delivery: one birth date
for everybody, letters for names, a required column that lacks a value in the first row and in no
other, and surnames that tell the sex where forenames do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from linked_cyp.contracts.model import Column, Contract
from linked_cyp.core.sql import exists, literal, quoted
from linked_cyp.ingest.landing import LandedDelivery
from linked_cyp.ingest.ledger import CURRENT
from linked_cyp.ingest.readers import Staged
from linked_cyp.ingest.readers.staging import StagedTable
from linked_cyp.ingest.reasons import Reason

# Of those who were there before, the share for whom a column may say something else. Birth dates
# and sexes are corrected one by one; names change, and more than a half of them at once never did.
MOST_OTHERS = {"birth_date": 0.2, "sex": 0.2, "forename": 0.5, "surname": 0.5}
FEWEST_OTHERS = 5
# Rows from which on one birth date for all is no chance, and one blank, the first, neither.
FEWEST_ROWS = 20
# The share of names that may be single letters.
MOST_LETTERS = 0.5
# Of two people of one forename nearly all are of one sex, of two of one surname the half is.
FEWEST_PAIRS, TELLS, DOES_NOT_TELL = 15, 0.85, 0.7


@dataclass(frozen=True)
class _Known:
    """How many of an earlier delivery's people are there again, and for how many a fact differs."""

    people: int
    others: int


def refusals(
    con: duckdb.DuckDBPyConnection, landed: LandedDelivery, staged: Staged
) -> Iterator[Reason]:
    """Why a delivery is refused for whose its facts are, a reason for each column.

    Args:
        con: has the ledger, the raw tables and the staged tables.
        landed: the delivery.
        staged: its tables.
    """
    for item in staged.tables.values():
        yield from _of_itself(con, item)
        yield from _letters(con, item)
        yield from _swapped(con, item)
    before = nearest(con, staged.contract, landed)
    if before is None:
        return
    for item in staged.tables.values():
        raw = f"identifiable.raw.{quoted(item.table.table_name)}"
        if not exists(con, f"identifiable.raw.{item.table.table_name}"):
            continue
        for column in _facts(item):
            known = max(
                (_known(con, item, raw, before, key, column) for key in _keys(item)),
                key=lambda each: each.people,
                default=_Known(0, 0),
            )
            most = MOST_OTHERS[column.linkage_role or ""]
            if known.others >= FEWEST_OTHERS and known.others > most * known.people:
                says = (
                    f"{{column}} is another for {known.others} of {known.people} who were in this "
                    "supplier's earlier delivery"
                )
                yield Reason("column__of_others", says, item.table, column, is_overruled=True)


def nearest(
    con: duckdb.DuckDBPyConnection, contract: Contract, landed: LandedDelivery
) -> str | None:
    """The supplier's accepted delivery of another period that is nearest before this one, else the
    nearest after it."""
    found = con.execute(
        f"SELECT delivery_id FROM {CURRENT} WHERE status = 'accepted' AND supplier = ? "
        "AND feed = ? AND period <> ? "
        "ORDER BY period > ?, CASE WHEN period > ? THEN period END, period DESC LIMIT 1",
        [landed.supplier, contract.feed, landed.period, landed.period, landed.period],
    ).fetchone()
    return str(found[0]) if found else None


def _of_itself(con: duckdb.DuckDBPyConnection, item: StagedTable) -> Iterator[Reason]:
    """The signs that need no earlier delivery."""
    for column in (item.table.column(name) for name in item.present):
        if column.type not in ("date", "timestamp"):
            continue
        name, text = quoted(column.name), item.written(column.name)
        rows, values, filled, first = con.execute(
            f"SELECT count(*), count(DISTINCT {name}), count({text}), "
            f"arg_min({text} IS NULL, (source_file, row_number)) FROM {item.relation}"
        ).fetchone() or (0, 0, 0, False)
        if rows < FEWEST_ROWS:
            continue
        if column.linkage_role == "birth_date" and values == 1 and item.table.person_key:
            says = f"{{column}} is the same in all {rows} rows"
            yield Reason("column__same", says, item.table, column, is_overruled=True)
        if column.required and first and filled == rows - 1:
            says = (
                "{column} is blank in the first row and in no other, as when a column was moved a "
                "row down"
            )
            yield Reason("column__moved", says, item.table, column, is_overruled=True)


def _letters(con: duckdb.DuckDBPyConnection, item: StagedTable) -> Iterator[Reason]:
    """Names of which most are one letter."""
    for column in _of_roles(item, "forename", "surname"):
        name = quoted(column.name)
        names, letters = con.execute(
            f"SELECT count({name}), count(*) FILTER (length({name}) = 1) FROM {item.relation}"
        ).fetchone() or (0, 0)
        if names >= FEWEST_ROWS and letters > MOST_LETTERS * names:
            says = f"{{column}} is one letter in {letters} of {names} rows"
            yield Reason("column__cut", says, item.table, column, is_overruled=True)


def _swapped(con: duckdb.DuckDBPyConnection, item: StagedTable) -> Iterator[Reason]:
    """Forenames and surnames in each other's place: the surnames tell the sex."""
    first, last, sex = (
        next(iter(_of_roles(item, role)), None) for role in ("forename", "surname", "sex")
    )
    if not (first and last and sex):
        return
    of_first, of_last = (_tells(con, item, column, sex, (first, last)) for column in (first, last))
    if of_last > TELLS and of_first < DOES_NOT_TELL:
        says = "{column} holds surnames: it does not tell the sex, and the surnames do"
        yield Reason("column__swapped", says, item.table, first, is_overruled=True)


def _tells(
    con: duckdb.DuckDBPyConnection,
    item: StagedTable,
    column: Column,
    sex: Column,
    names: tuple[Column, Column],
) -> float:
    """The share of pairs of people of one name that are of one sex; of few, one that says
    nothing."""
    one = ", ".join(f"upper({quoted(each.name)})" for each in names)
    pairs, same = con.execute(
        f"WITH people AS (SELECT DISTINCT {one}, upper({quoted(column.name)}) AS v, "
        f"{quoted(sex.name)} AS s FROM {item.relation} "
        f"WHERE {quoted(column.name)} IS NOT NULL AND {quoted(sex.name)} IS NOT NULL), "
        "of_sex AS (SELECT v, count(*) AS n FROM people GROUP BY v, s), "
        "of_name AS (SELECT sum(n) AS n, sum(n * (n - 1) / 2) AS same FROM of_sex GROUP BY v) "
        "SELECT coalesce(sum(n * (n - 1) / 2), 0), coalesce(sum(same), 0) FROM of_name"
    ).fetchone() or (0, 0)
    return float(same) / float(pairs) if pairs >= FEWEST_PAIRS else (TELLS + DOES_NOT_TELL) / 2


def _of_roles(item: StagedTable, *roles: str) -> list[Column]:
    columns = [item.table.column(name) for name in item.present]
    return [column for column in columns if column.linkage_role in roles]


def _facts(item: StagedTable) -> list[Column]:
    return _of_roles(item, *MOST_OTHERS)


def _keys(item: StagedTable) -> list[str]:
    """The columns that alone say who a person is."""
    alone = [key[0] for key in item.table.person_key if len(key) == 1]
    return [name for name in alone if name in item.present]


def _known(
    con: duckdb.DuckDBPyConnection,
    item: StagedTable,
    raw: str,
    before: str,
    key: str,
    column: Column,
) -> _Known:
    """Of those with the same key, how many another fact is told of.

    Codes of other years mean the same where their labels do.
    """
    of, fact = quoted(key), quoted(column.name)
    value = _meant(column)
    one = f"SELECT {of} AS k, min({value}) AS v FROM"
    each = f"WHERE {of} IS NOT NULL AND {fact} IS NOT NULL"
    alone = f"GROUP BY 1 HAVING count(DISTINCT {value}) = 1"
    people, others = con.execute(
        f"WITH now AS ({one} {item.relation} {each} {alone}), "
        f"was AS ({one} {raw} {each} AND delivery_id = ? {alone}) "
        f"SELECT count(*), count(*) FILTER (n.v <> w.v) "
        "FROM now AS n JOIN was AS w USING (k)",
        [before],
    ).fetchone() or (0, 0)
    return _Known(people, others)


def _meant(column: Column) -> str:
    """SQL of what a value means: a code what it is in all feeds, else its label; a name without its
    letter case."""
    name = quoted(column.name)
    if column.codeset:
        labels = {c.code: c.harmonised or c.label.casefold() for c in column.codeset.codes}
        cases = " ".join(f"WHEN {literal(c)} THEN {literal(said)}" for c, said in labels.items())
        return f"CASE {name} {cases} END" if cases else name
    return f"upper({name})" if column.type == "string" else name
