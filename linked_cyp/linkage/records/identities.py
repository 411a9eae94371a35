"""From raw tables to standardised identities: what each source says about each of its persons.

Every column with a ``linkageRole`` is a fact about the source person of its row, whichever table
it stands in; a table without a person key reaches the person through its relationship. The newest
fact of a role is the current value, older and alternative ones follow. Identities exist only in
temporary tables of the connection's own database (memory, encrypted spill) and in one batch of
rows at a time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import polars as pl

from linked_cyp.contracts.model import Column, Contract, Relationship, Table
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.sql import literal, quoted, transaction
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.exclusions import (
    LEFT_OUT,
    SPREADING,
    check,
    exclusions,
    keyed_table,
    spread,
)
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.person_records import ALTERNATIVES
from linked_cyp.identity.roles import ROLES
from linked_cyp.identity.tokenise import raw, record_key_table
from linked_cyp.linkage.records import pseudonyms
from linked_cyp.linkage.records.encoded import encoded_persons
from linked_cyp.linkage.records.opt_outs import read_opt_outs, recorded_facts
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp.opt_outs.policy import Policy

BATCH = 200_000  # source persons encoded at once
CHUNK = 250_000  # distinct values standardised at once


@dataclass(frozen=True)
class Identities:
    """The identities of one connection, for as long as :func:`read_identities` keeps them.

    Attributes:
        deliveries: accepted ones, oldest first, with the numbers of their source and supplier.
        pseudonyms: counts of :mod:`linked_cyp.linkage.records.pseudonyms`.
    """

    con: duckdb.DuckDBPyConnection
    deliveries: pl.DataFrame
    pseudonyms: Mapping[str, int]

    @property
    def sources(self) -> pl.DataFrame:
        """``source``, ``feed``, ``supplier`` (numbers), ``supplier_name``, ``tells_apart``."""
        columns = ("source", "feed", "supplier", "supplier_name", "tells_apart")
        return self.deliveries.select(columns).unique()

    def batches(self) -> Iterator[pl.DataFrame]:
        """Standardised identities, up to :data:`BATCH` at once, each source person once.

        Columns are those of ``IDENTITY_SCHEMA``, ``middle_names`` and ``ALTERNATIVES`` in
        :mod:`linked_cyp.identity.person_records`.
        """
        return _batches(self.con, self.sources)


@contextmanager
def read_identities(
    con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract], keys: Keys
) -> Iterator[Identities]:
    """What the accepted deliveries say of each source person; gone when the block ends.

    Wrap it with ``value_free``: what is raised inside may quote a value.

    Args:
        con: connection with ``identifiable``.
        contracts: contracts by feed; their ``linkageRole`` columns are read.
        keys: derivations of the master key.
    """
    deliveries = _sources(con, contracts)
    check(contracts, _raw_columns(con))
    try:
        con.execute(_FACT_DDL)
        for feed, contract in contracts.items():
            _collect_feed(con, contract, keys, deliveries.filter(pl.col("feed") == feed))
        _standardise(con)
        found = pseudonyms.find_numbers(con, keys.folder, deliveries)
        _assemble(con)
        yield Identities(con, deliveries, found)
    finally:
        made = ("identity_fact", "identity_clean", "identity_distinct", "identity")
        for name in (*made, pseudonyms.HOLDERS):
            con.execute(f"DROP TABLE IF EXISTS temp.{name}")


def build_person_records(
    con: duckdb.DuckDBPyConnection,
    contracts: Mapping[str, Contract],
    keys: Keys,
    *,
    opt_outs: Policy | None = None,
    hardened: bool = True,
    today: dt.date | None = None,
) -> dict[str, int]:
    """Rebuild ``linkage.main.person_record`` from the accepted deliveries, in one transaction.

    Who opted out is not in it (:mod:`linked_cyp.linkage.records.opt_outs`).

    Args:
        con: connection with ``identifiable`` (read) and ``linkage`` (write).
        contracts: contracts by feed; their ``linkageRole`` columns are read.
        keys: derivations of the master key.
        opt_outs: what the operator decided on them; by default every one is applied.
        hardened: see :mod:`linked_cyp.identity.encodings`.
        today: the day on which the age of lists is judged; by default the clock's.

    Returns:
        Counts: sources, persons (source persons), rows, excluded, opted out, and where suppliers
        encode, the deliveries encoded by an earlier version of linked-cyp (to be encoded again);
        where NHS numbers came as pseudonyms, what became of them
        (:mod:`linked_cyp.linkage.records.pseudonyms`).

    Raises:
        LinkedCypError: the stores do not hold what the ledger says, an exclusion or an opt-out
            cannot take effect (a list that is needed is missing or old), or encoding failed.
    """
    with (
        value_free("reading identities from the accepted deliveries"),
        read_identities(con, contracts, keys) as read,
    ):
        others = encoded_persons(
            con,
            contracts,
            read.deliveries.select("delivery_id", "feed", "source", "supplier", "place"),
        )
        if others and not hardened:
            raise LinkedCypError("suppliers encode hardened records: plain ones do not compare")
        encoder = Encoder(keys, hardened=hardened)
        left_out = read_opt_outs(
            con, contracts, opt_outs or Policy(), encoder, today or dt.datetime.now(dt.UTC).date()
        )
        with transaction(con):  # no record is there before those of adopted children are marked
            write_person_records(
                con,
                read.batches(),
                read.sources.drop("supplier_name").unique().sort("source"),
                con.execute(_ALIASES).pl(),
                encoder,
                others,
                _counted(con).with_columns(
                    pl.col("delivery_id")
                    .is_in(others.outdated if others else [])
                    .alias("is_outdated"),
                    pl.col("delivery_id")
                    .is_in(others.unexcluded if others else [])
                    .alias("lacks_exclusions"),
                ),
                con.execute(f"FROM {pseudonyms.HOLDERS} ORDER BY ALL").pl(),
            )
            spread(con, SPREADING)
            left_out.leave_out(con)
    rows, persons, excluded, gone, unknown = con.execute(
        "SELECT count(*), count(*) FILTER (alternative = 0),"
        " count(exclusion) FILTER (alternative = 0),"
        " (SELECT count(DISTINCT record_key) FROM linkage.main.opted_out),"
        " (SELECT count(*) FROM linkage.main.unknown_objection)"
        " FROM linkage.main.person_record"
    ).fetchall()[0]
    counts = {
        "sources": read.sources["source"].n_unique(),
        "persons": persons,
        "rows": rows,
        "excluded": excluded,
        "opted out": gone,
        "objections that name nobody known": unknown,
        **read.pseudonyms,
    }
    return counts | ({"encoded by an earlier version": len(others.outdated)} if others else {})


def _counted(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Every delivery that counts, also of a feed without contract: what a release is held to."""
    return con.execute(
        "SELECT delivery_id, received_at FROM identifiable.ledger.current"
        " WHERE status = 'accepted' ORDER BY ALL"
    ).pl()


_FACT_DDL = """
    CREATE OR REPLACE TEMP TABLE identity_fact (
        record_key BIGINT, source SMALLINT, role VARCHAR, value VARCHAR, seen BIGINT
    )
"""


def _sources(con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract]) -> pl.DataFrame:
    """One row per accepted delivery, oldest first, with the numbers of its source and supplier."""
    accepted = con.execute(
        "SELECT delivery_id, supplier AS supplier_name, feed, collection_year,"
        # Terms in the order of the school year: autumn, spring, summer.
        " CASE split_part(period, '-', 2) WHEN 'autumn' THEN 'a' WHEN 'spring' THEN 'b'"
        "  WHEN 'summer' THEN 'c' ELSE period END AS within"
        " FROM identifiable.ledger.current WHERE status = 'accepted'"
        " ORDER BY collection_year, within, delivery_id"
    ).pl()
    tells_apart = {feed: tells_children_apart(contract) for feed, contract in contracts.items()}
    source = pl.concat_str("feed", "supplier_name", separator=" ")
    return accepted.filter(pl.col("feed").is_in(list(contracts))).with_columns(
        source.rank("dense").cast(pl.Int16).alias("source"),
        pl.col("supplier_name").rank("dense").cast(pl.Int16).alias("supplier"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("place"),
        pl.col("feed").replace_strict(tells_apart, return_dtype=pl.Boolean).alias("tells_apart"),
    )


def tells_children_apart(contract: Contract) -> bool:
    """Whether the feed's person keys are the supplier's own child ids: two of them, two children.

    An NHS number or UPN in the key is left to those conflicts; other local keys may repeat a
    person (a patient once with and once without an NHS number).
    """
    roles = [
        table.column(name).linkage_role
        for table in contract.tables.values()
        for key in table.person_key
        for name in key
    ]
    return bool(roles) and set(roles) == {"la_child_id"}


def _collect_feed(
    con: duckdb.DuckDBPyConnection, contract: Contract, keys: Keys, sources: pl.DataFrame
) -> None:
    """Add the facts of one feed to ``identity_fact``."""
    if sources.is_empty():
        return
    con.register("accepted", sources.select("delivery_id", "source", "place").to_arrow())
    deliveries = sources["delivery_id"].to_list()
    stored = _raw_columns(con)
    try:
        for table in contract.tables.values():
            present = stored.get(table.table_name, set())
            wanted = [
                c
                for c in table.columns
                if c.linkage_role in (*ROLES, *pseudonyms.ROLES) and c.name in present
            ]
            excluding = [
                e for e in exclusions([contract]) if e.table == table.name and e.column in present
            ]
            mixed = [c for c in table.columns if c.linkage_role_by and c.name in present]
            dissents = recorded_facts(table, present)
            if not (wanted or excluding or mixed or dissents):
                continue
            keyed, link = keyed_table(contract, table)
            if keyed is None or keyed.table_name not in stored:
                continue
            record_key_table(con, contract, keyed, keys, deliveries, "identity_key")
            rows = _keyed_rows(table, keyed, link)
            facts = [
                f"SELECT record_key, source, '{c.linkage_role}', t.{quoted(c.name)}::VARCHAR, seen"
                f" FROM keyed t WHERE t.{quoted(c.name)} IS NOT NULL"
                for c in wanted
            ]
            facts += [fact for c in mixed for fact in _mixed_facts(c, present)]
            facts += dissents
            facts += [
                f"SELECT record_key, source, 'exclusion', '{e.reason}', seen FROM keyed t"
                f" WHERE {e.condition()}"
                for e in excluding
            ]
            con.execute(
                f"INSERT INTO identity_fact WITH keyed AS ({rows}), facts(k, s, r, v, o) AS"
                f" ({' UNION ALL '.join(facts)})"
                " SELECT k, s, r, v, max(o) FROM facts GROUP BY ALL"
            )
    finally:
        con.unregister("accepted")
        con.execute("DROP TABLE IF EXISTS temp.identity_key")


def _mixed_facts(column: Column, present: set[str]) -> list[str]:
    """Facts of a column whose role stands in another one, row by row.

    Without the column that says which identifiers have ended, none has.
    """
    by = column.linkage_role_by
    if by is None or by.column not in present:
        return []
    value, kind = f"t.{quoted(column.name)}", f"lower(trim(t.{quoted(by.column)}))"
    ended = f"t.{quoted(by.ended_by)} IS NOT NULL" if by.ended_by in present else "false"
    facts = []
    for text, role in by.roles.items():
        former = role if role.startswith("former_") else f"former_{role}"
        facts.append(
            f"SELECT record_key, source, CASE WHEN {ended} THEN {literal(former)}"
            f" ELSE {literal(role)} END, {value}::VARCHAR, seen FROM keyed t"
            f" WHERE {value} IS NOT NULL AND {kind} = {literal(text.lower())}"
        )
    return facts


def _raw_columns(con: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    rows = con.execute(
        "SELECT table_name, list(column_name) FROM duckdb_columns()"
        " WHERE database_name = 'identifiable' AND schema_name = 'raw' GROUP BY table_name"
    ).fetchall()
    return {table: set(columns) for table, columns in rows}


def _keyed_rows(table: Table, keyed: Table, link: Relationship | None) -> str:
    """SQL of the table's accepted rows with record_key, source and seen (order of recency)."""
    mine = raw(table.table_name)
    seen = "a.place * 1000000000 + r.row_number AS seen"
    if link is None:
        return (
            f"SELECT r.*, k.record_key, a.source, {seen} FROM {mine} r"
            " JOIN identity_key k USING (delivery_id, source_file, row_number)"
            " JOIN accepted a USING (delivery_id) WHERE k.record_key IS NOT NULL"
        )
    pairs = " AND ".join(
        f"r.{quoted(a)} = p.{quoted(b)}" for a, b in zip(link.columns, link.to_columns, strict=True)
    )
    return (
        f"SELECT r.*, k.record_key, a.source, {seen} FROM {mine} r"
        f" JOIN {raw(keyed.table_name)} p ON r.delivery_id = p.delivery_id AND {pairs}"
        " JOIN identity_key k ON (k.delivery_id, k.source_file, k.row_number)"
        " = (p.delivery_id, p.source_file, p.row_number)"
        " JOIN accepted a ON a.delivery_id = r.delivery_id WHERE k.record_key IS NOT NULL"
    )


def _standardise(con: duckdb.DuckDBPyConnection) -> None:
    """``identity_clean``: each distinct value as supplied with its one spelling, by role."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE identity_clean"
        " (role VARCHAR, field VARCHAR, rank INTEGER, value VARCHAR, clean VARCHAR)"
    )
    for role, meaning in ROLES.items():
        con.execute(
            "CREATE OR REPLACE TEMP TABLE identity_distinct AS"
            " SELECT DISTINCT value FROM identity_fact WHERE role = ?",
            [role],
        )
        count = con.execute("SELECT count(*) FROM identity_distinct").fetchall()[0][0]
        for start in range(0, count, CHUNK):
            chunk = con.execute(
                "SELECT value FROM identity_distinct WHERE rowid BETWEEN ? AND ?",
                [start, start + CHUNK - 1],
            ).pl()
            for rule, rank in ((meaning.rule, meaning.rank), (meaning.also, meaning.rank + 1)):
                if rule is None:
                    continue
                clean = chunk.with_columns(rule(pl.col("value")).alias("clean"))
                con.register("chunk", clean.to_arrow())
                con.execute(
                    "INSERT INTO identity_clean SELECT ?, ?, ?, value, clean FROM chunk",
                    [role, meaning.field, rank],
                )
                con.unregister("chunk")
    con.execute("DROP TABLE IF EXISTS temp.identity_distinct")


def _assemble(con: duckdb.DuckDBPyConnection) -> None:
    """``identity``: one row per source person; each field a list, current value first."""
    fields = sorted({role.field for role in ROLES.values()})
    first = ", ".join(literal(reason) for reason in LEFT_OUT)
    lists = ", ".join(
        f"list(clean ORDER BY rank, seen DESC, clean) FILTER (field = '{f}') AS {f}" for f in fields
    )
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE identity AS
        WITH clean AS (
            SELECT record_key, source, field, clean, min(rank) AS rank, max(seen) AS seen
            FROM identity_fact JOIN identity_clean USING (role, value)
            WHERE clean IS NOT NULL AND clean <> '' GROUP BY ALL
        ), excluded AS (
            SELECT record_key, arg_min(value, (value NOT IN ({first}), value)) AS exclusion
            FROM identity_fact WHERE role = 'exclusion' GROUP BY ALL
        ), known AS (SELECT DISTINCT record_key, source FROM identity_fact)
        SELECT known.*, exclusion, facts.* EXCLUDE (record_key, source) FROM known
        LEFT JOIN (SELECT record_key, source, {lists} FROM clean GROUP BY ALL) facts
            USING (record_key, source)
        LEFT JOIN excluded USING (record_key)
    """)


# Numbers that a source says were replaced: the former one, and the record's present one. Not when
# the source still gives the former one to somebody else: then it was mixed up (a twin's, say), and
# two children with two numbers would pass for one.
_ALIASES = """
    WITH held AS (
        SELECT f.record_key, f.source, c.field, c.clean, max(f.seen // 1000000000) AS place
        FROM identity_fact f JOIN identity_clean c USING (role, value)
        JOIN identity i ON i.record_key = f.record_key
        WHERE f.role IN ('upn', 'nhs_number') AND i.exclusion IS NULL GROUP BY ALL
    )
    SELECT CASE f.role WHEN 'former_upn' THEN 'upn' ELSE 'nhs' END AS identifier,
           former.clean AS former,
           min(CASE f.role WHEN 'former_upn' THEN i.upn[1] ELSE i.nhs_number[1] END) AS present
    FROM identity_fact f
    JOIN identity_clean former USING (role, value)
    JOIN identity i ON i.record_key = f.record_key
    LEFT JOIN held h ON h.source = f.source AND h.field = former.field AND h.clean = former.clean
        AND h.record_key <> f.record_key AND h.place >= f.seen // 1000000000
    WHERE f.role IN ('former_upn', 'former_nhs_number') AND former.clean IS NOT NULL
    GROUP BY ALL HAVING present IS NOT NULL AND count(h.record_key) = 0
"""


def _batches(con: duckdb.DuckDBPyConnection, sources: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Identities as :func:`linked_cyp.linkage.records.writing.write_person_records` wants them."""
    count = con.execute("SELECT count(*) FROM identity").fetchall()[0][0]
    known = sources.select("source", "supplier", "supplier_name")
    for start in range(0, count, BATCH):
        frame = con.execute(
            "SELECT * FROM identity WHERE rowid BETWEEN ? AND ?", [start, start + BATCH - 1]
        ).pl()
        lists = frame.join(known, on="source", how="left")
        yield lists.select(
            "record_key",
            "source",
            "supplier",
            "exclusion",
            *(pl.col(f).list.first().alias(f) for f in _TEXT_FIELDS),
            pl.concat_str("supplier_name", pl.col("la_child_id").list.first(), separator="|").alias(
                "la_child_id"
            ),
            pl.col("birth_date").list.first().str.to_date("%Y-%m-%d").alias("birth_date"),
            pl.col("sex").list.first().cast(pl.Int8).alias("sex"),
            *(
                _dates(pl.col(field).list.slice(1), field).alias(column)
                for column, field in ALTERNATIVES.items()
            ),
        )


_TEXT_FIELDS = ("nhs_number", "upn", "forename", "middle_names", "surname", "postcode")


def _dates(values: pl.Expr, field: str) -> pl.Expr:
    if field != "birth_date":
        return values
    return values.list.eval(pl.element().str.to_date("%Y-%m-%d"))
