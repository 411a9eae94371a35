"""Opt-outs among person records: who is left out before linkage, and who after it.

The national data opt-out and the Type 1 opt-out are about NHS data: a record of a feed in their
scope goes before anything is linked, and one without a usable NHS number goes too, as nobody can
tell whose it is. An objection made to us is about the person. Only linkage knows which records are
that person's, so objecting records are marked before it, and everything that turns out to belong
to their person stays out of the bridge (:func:`leave_out_objectors`).

A dissent that a practice wrote into the patient's record counts as one on the list of Type 1
opt-outs, for every record with the patient's number.

All is done on tokens, so that records that suppliers encoded are treated alike.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import polars as pl

from linked_cyp.contracts.model import Contract, Table
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.sql import literal
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.exclusions import LEFT_OUT
from linked_cyp.opt_outs.policy import (
    DISSENTS,
    NATIONAL,
    OBJECTION,
    TYPE_1,
    WITHDRAWALS,
    Named,
    Policy,
    Standing,
    objecting,
    refuse,
    standings,
)
from linked_cyp.opt_outs.policy import named as named_by_lists

NO_NUMBER = "no NHS number to ask about"
KINDS = ("remaining", "national", "type_1", "nhs", "upn", "la_child")

# Dissents that a practice wrote down are collected with the identities, under this role.
RECORDED_ROLE = "type_1_event"

# A dissent in any spelling: with marks before it, ``.0``, a label behind it, or as a spreadsheet
# shortens a long number. What ends a dissent is believed in its plain spelling only.
DISSENT = rf"^[^A-Z0-9]*(({'|'.join(DISSENTS)})([^A-Z0-9]|$)|8[.,]27241[0-9]*E[+]?14)"

# All that the warehouse may know of how opt-outs were applied: one row for each.
OPT_OUT_DDL = (
    "opt_out VARCHAR, is_applied BOOLEAN, because VARCHAR, feeds VARCHAR, list_date DATE,"
    " max_age_days INTEGER, records_left_out BIGINT, records_without_number BIGINT"
)
OPTED_OUT_DDL = "record_key BIGINT, feed VARCHAR, opt_out VARCHAR, reason VARCHAR"


@dataclass(frozen=True)
class OptOuts:
    """The opt-outs of one build, as tokens.

    ``numbers`` has ``kind`` (one of :data:`KINDS`), ``token`` and the ``place`` of an objection;
    ``recorded`` has ``record_key``, ``objects`` and ``day`` of the dissents and withdrawals that
    stand in a record.
    """

    standing: Sequence[Standing]
    numbers: pl.DataFrame
    recorded: pl.DataFrame
    today: dt.date

    def leave_out(self, con: duckdb.DuckDBPyConnection) -> None:
        """Delete the person records that may not be linked, and mark those of objectors.

        Writes ``linkage.main.opt_out``, ``opted_out`` (record_key, feed, opt_out, reason) and
        ``objector`` (record_key).

        Args:
            con: connection with the ``linkage`` catalog, in the transaction that wrote its person
                records, aliases and sources.
        """
        con.register("opt_out_listed", self.numbers.to_arrow())
        try:
            # A replaced number and its successor are one person's.
            con.execute(
                "CREATE OR REPLACE TEMP TABLE opt_out_number AS"
                " SELECT kind, token FROM opt_out_listed UNION"
                " SELECT n.kind, a.token FROM opt_out_listed n JOIN linkage.main.identifier_alias a"
                " ON a.former = n.token AND (a.identifier = n.kind"
                " OR a.identifier = 'nhs' AND n.kind IN ('national', 'type_1'))"
            )
            self._add_recorded(con)
            con.execute(f"CREATE OR REPLACE TABLE linkage.main.opted_out ({OPTED_OUT_DDL})")
            self._mark_objectors(con)
            self._note_unknown(con)
            for one in self.standing:
                if one.rule.applied and one.opt_out in _OUT:
                    con.execute(
                        "INSERT INTO linkage.main.opted_out SELECT e.record_key, s.feed, $opt_out,"
                        f" CASE WHEN bool_or(e.nhs IS NULL) THEN '{NO_NUMBER}' ELSE 'opted out' END"
                        " FROM linkage.main.person_record e JOIN linkage.main.source s"
                        " USING (source)"
                        f" LEFT JOIN {_ALIAS} a ON a.former = e.nhs"
                        f" WHERE list_contains($feeds, s.feed) AND ({_OUT[one.opt_out]})"
                        " GROUP BY ALL",
                        {"opt_out": one.opt_out, "feeds": list(one.feeds)},
                    )
            con.execute(
                "DELETE FROM linkage.main.person_record WHERE record_key IN"
                " (SELECT record_key FROM linkage.main.opted_out)"
            )
            self._say(con)
        finally:
            con.unregister("opt_out_listed")
            con.execute("DROP TABLE IF EXISTS temp.opt_out_number")

    def _add_recorded(self, con: duckdb.DuckDBPyConnection) -> None:
        """The numbers of whom the latest entry, in all records of the number, is a dissent."""
        con.register("opt_out_recorded", self.recorded.to_arrow())
        events = con.execute(
            "SELECT coalesce(a.token, e.nhs) AS token, o.objects, o.day FROM opt_out_recorded o"
            " JOIN linkage.main.person_record e ON e.record_key = o.record_key"
            f" LEFT JOIN {_ALIAS} a ON a.former = e.nhs"
        ).pl()
        con.unregister("opt_out_recorded")
        found = objecting(events.with_columns(pl.lit(self.today).alias("listed")), "token")
        con.register("opt_out_recorded", found.select("token").to_arrow())
        con.execute("INSERT INTO opt_out_number SELECT 'type_1', token FROM opt_out_recorded")
        con.unregister("opt_out_recorded")

    def _mark_objectors(self, con: duckdb.DuckDBPyConnection) -> None:
        """Records with an identifier that an objection names, and those that share one with them.

        Former numbers count, and so does the number that replaced one.
        """
        con.execute(
            "CREATE OR REPLACE TEMP TABLE opt_out_holds AS WITH held AS ("
            " SELECT record_key, unnest(['nhs', 'upn', 'la_child']) AS kind,"
            " unnest([nhs, upn, la_child]) AS token FROM linkage.main.person_record)"
            " SELECT DISTINCT record_key, kind, coalesce(a.token, held.token) AS token FROM held"
            " LEFT JOIN linkage.main.identifier_alias a"
            " ON a.identifier = held.kind AND a.former = held.token"
            " WHERE held.token IS NOT NULL"
        )
        con.execute(
            "CREATE OR REPLACE TABLE linkage.main.objector AS"
            " SELECT DISTINCT record_key FROM opt_out_holds JOIN opt_out_number USING (kind, token)"
        )
        try:
            while con.execute(_SPREAD).fetchall()[0][0]:
                pass
        finally:
            con.execute("DROP TABLE opt_out_holds")

    def _note_unknown(self, con: duckdb.DuckDBPyConnection) -> None:
        """Objections under a number that no record has: so far they protect nobody."""
        con.execute(
            "CREATE OR REPLACE TABLE linkage.main.unknown_objection AS"
            " WITH known AS (SELECT unnest(['nhs', 'upn', 'la_child']) AS kind,"
            " unnest([nhs, upn, la_child]) AS token FROM linkage.main.person_record"
            " UNION ALL SELECT identifier, former FROM linkage.main.identifier_alias)"
            " SELECT place FROM opt_out_listed l LEFT JOIN (SELECT DISTINCT kind, token FROM known)"
            " k USING (kind, token) WHERE place IS NOT NULL"
            " GROUP BY place HAVING count(k.token) = 0 ORDER BY place"
        )

    def _say(self, con: duckdb.DuckDBPyConnection) -> None:
        con.execute(f"CREATE OR REPLACE TABLE linkage.main.opt_out ({OPT_OUT_DDL})")
        for one in self.standing:
            con.execute(
                "INSERT INTO linkage.main.opt_out SELECT $1, $2, $3, $4, $5, $6, count(*),"
                f" count(*) FILTER (reason = '{NO_NUMBER}') FROM linkage.main.opted_out"
                " WHERE opt_out = $1",
                [
                    *(one.opt_out, one.rule.applied, one.rule.because or None),
                    *(", ".join(one.feeds), one.list_date, one.rule.max_age_days),
                ],
            )


def read_opt_outs(
    con: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    policy: Policy,
    encoder: Encoder,
    today: dt.date,
) -> OptOuts:
    """The opt-outs that the accepted deliveries fall under, from lists in the identifiable store.

    Wrap it with ``value_free``.

    Raises:
        LinkedCypError: a list that is needed is missing, too old, or cannot be understood.
    """
    standing = standings(con, contracts, policy)
    refuse(standing, today)
    named = named_by_lists(con, standing, contracts)
    return OptOuts(standing, _tokens(named, encoder), _recorded(con), today)


def recorded_facts(table: Table, present: Collection[str]) -> list[str]:
    """SQL of the dissents in a table's rows ``keyed``; none where its contract names none.

    Raises:
        LinkedCypError: the raw table lacks a column of them, so that a dissent would go unheard.
    """
    if table.dissents is None or not present:
        return []
    code, day, deleted = table.dissents.code, table.dissents.day, table.dissents.deleted
    if lacking := sorted({code, day, deleted} - set(present)):
        raise LinkedCypError(
            f"the raw table of {table.table_name} lacks {', '.join(lacking)}: no dissent is heard"
        )
    withdrawn = ", ".join(f"'{value}'" for value in WITHDRAWALS)
    # Read codes end in a dot, and spreadsheets write numbers with a trailing .0
    spelt = rf"regexp_replace(upper(trim(t.{code})), '\.0*$', '')"
    dissents = f"regexp_matches(upper(t.{code}), {literal(DISSENT)})"
    return [
        f"SELECT record_key, source, '{RECORDED_ROLE}',"
        f" CASE WHEN {dissents} THEN '{DISSENTS[0]}' ELSE {spelt} END || '|' ||"
        f" coalesce(t.{day}::DATE::VARCHAR, ''), seen FROM keyed t"
        f" WHERE ({dissents} OR {spelt} IN ({withdrawn})) AND NOT coalesce(t.{deleted}, FALSE)"
    ]


def _recorded(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    withdrawn = ", ".join(f"'{value}'" for value in WITHDRAWALS)
    return con.execute(
        f"SELECT record_key, split_part(value, '|', 1) NOT IN ({withdrawn}) AS objects,"
        " try_cast(nullif(split_part(value, '|', 2), '') AS DATE) AS day FROM identity_fact"
        " WHERE role = ?",
        [RECORDED_ROLE],
    ).pl()


def leave_out_objectors(con: duckdb.DuckDBPyConnection, bridge: pl.DataFrame) -> pl.DataFrame:
    """The bridge without the persons who objected, where their feeds let them.

    Writes how many into ``linkage.main.opt_out`` and who into ``linkage.main.opted_out``.

    Args:
        bridge: ``record_key``, ``feed``, ``person_id`` and more.
    """
    rows = con.execute(
        "SELECT feeds FROM linkage.main.opt_out WHERE opt_out = ? AND is_applied", [OBJECTION]
    ).fetchall()
    feeds = rows[0][0].split(", ") if rows else []
    marked = con.execute("SELECT record_key FROM linkage.main.objector").pl()["record_key"]
    persons = bridge.filter(pl.col("record_key").is_in(marked.implode()))["person_id"].unique()
    objects = pl.col("person_id").is_in(persons.implode()) & pl.col("feed").is_in(feeds)
    gone = bridge.filter(objects).select(
        "record_key",
        "feed",
        pl.lit(OBJECTION).alias("opt_out"),
        pl.lit("objected").alias("reason"),
    )
    con.execute("DELETE FROM linkage.main.opted_out WHERE opt_out = ?", [OBJECTION])
    con.register("objected_now", gone.to_arrow())
    con.execute("INSERT INTO linkage.main.opted_out BY NAME FROM objected_now")
    con.unregister("objected_now")
    con.execute(
        "UPDATE linkage.main.opt_out SET records_left_out = ? WHERE opt_out = ?",
        [gone.height, OBJECTION],
    )
    return bridge.filter(~objects)


def leave_out_excluded(con: duckdb.DuckDBPyConnection, bridge: pl.DataFrame) -> pl.DataFrame:
    """The bridge without the records that an exclusion leaves out altogether.

    Writes who into ``linkage.main.opted_out``.

    Args:
        bridge: ``record_key``, ``feed`` and more.
    """
    marked = con.execute(
        "SELECT record_key, exclusion AS opt_out FROM linkage.main.person_record"
        " WHERE alternative = 0 AND list_contains(?, exclusion)",
        [list(LEFT_OUT)],
    ).pl()
    gone = bridge.select("record_key", "feed").join(marked, on="record_key")
    con.execute(
        "DELETE FROM linkage.main.opted_out WHERE list_contains(?, opt_out)",
        [list(LEFT_OUT)],
    )
    con.register("left_out_now", gone.with_columns(pl.lit("excluded").alias("reason")).to_arrow())
    con.execute("INSERT INTO linkage.main.opted_out BY NAME FROM left_out_now")
    con.unregister("left_out_now")
    return bridge.join(gone, on="record_key", how="anti", maintain_order="left")


def _tokens(named: Named, encoder: Encoder) -> pl.DataFrame:
    """``kind``, ``token`` and ``place`` (of objections) of every number of the lists."""
    lists = {"remaining": named.remaining, "national": named.national, "type_1": named.type_1}
    numbers = [
        pl.DataFrame({"value": v}, schema={"value": pl.String}).select(
            "value", pl.lit(kind).alias("kind"), pl.lit(None, pl.String).alias("place")
        )
        for kind, v in lists.items()
        if v is not None
    ]
    frames = [pl.DataFrame(schema={"kind": pl.String, "token": pl.Int64, "place": pl.String})]
    for (kind,), group in pl.concat(
        [*numbers, named.objections.select("value", "kind", "place")]
    ).group_by("kind", maintain_order=True):
        purpose = "nhs" if kind in lists else str(kind)
        tokens = pl.Series("token", encoder.tokens(purpose, group["value"]), dtype=pl.Int64)
        frames.append(group.select("kind", tokens, "place"))
    return pl.concat(frames)


_ALIAS = "(FROM linkage.main.identifier_alias WHERE identifier = 'nhs')"
# Of a record ``e``, and ``a``, the number that replaced its own. What the source says now must be
# on the reply, and so must what replaced it: then nobody is kept by an old number of theirs.
_OUT = {
    NATIONAL: (
        "(e.alternative = 0 AND (e.nhs IS NULL"
        " OR e.nhs NOT IN (SELECT token FROM opt_out_number WHERE kind = 'remaining')"
        " OR (a.token IS NOT NULL AND"
        " a.token NOT IN (SELECT token FROM opt_out_number WHERE kind = 'remaining'))))"
        " OR e.nhs IN (SELECT token FROM opt_out_number WHERE kind = 'national')"
        " OR a.token IN (SELECT token FROM opt_out_number WHERE kind = 'national')"
    ),
    TYPE_1: (
        "(e.alternative = 0 AND e.nhs IS NULL)"
        " OR e.nhs IN (SELECT token FROM opt_out_number WHERE kind = 'type_1')"
        " OR a.token IN (SELECT token FROM opt_out_number WHERE kind = 'type_1')"
    ),
}
_SPREAD = """
    INSERT INTO linkage.main.objector
    SELECT DISTINCT o.record_key FROM opt_out_holds m
    JOIN linkage.main.objector USING (record_key)
    JOIN opt_out_holds o ON o.kind = m.kind AND o.token = m.token
    WHERE o.record_key NOT IN (SELECT record_key FROM linkage.main.objector)
"""
