"""Opt-outs: which apply, whether their lists are there and fresh, and whom they name.

Three feeds of domain *governance* say who objects (``data_contracts``): the national data opt-out,
the Type 1 opt-out and objections made to us. A contract's ``optOuts`` says which of them take a
person's rows out. All are applied unless ``<home>/opt_outs.toml`` gives a reason (``docs/
opt_outs.md``), and everything that is missing, late or unreadable counts against using the data.

Numbers are read in clear here, in memory, and leave only as what
:mod:`linked_cyp.linkage.records.opt_outs`
makes tokens of.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.vocabulary import OPT_OUTS
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.sql import quoted
from linked_cyp.identity import identifiers
from linked_cyp.identity.identifiers import IDENTIFIERS
from linked_cyp.identity.tokenise import raw

NATIONAL, TYPE_1, OBJECTION = OPT_OUTS
# Days for which a list may be used: ours to choose, shorter than any reason to keep an old one.
MAX_AGE_DAYS: Mapping[str, int] = {NATIONAL: 21, TYPE_1: 45, OBJECTION: 45}
LEAST_REASON = 20  # characters: "test" says nothing to whoever reads the release
DISSENTS = ("827241000000103", "9NU0", "XAZ89")  # Type 1 codes: Snomed CT, Read 2, CTV3
WITHDRAWALS = ("827261000000102", "9NU1", "XAAVL")  # and those that end a dissent
NOT_OPTED_OUT = ("TRUE", "T", "1", "Y", "YES")  # of a flag that says "consents" or "is opted in"
# How databases and spreadsheets write that nothing stands there; other words count as an opt-out.
NOTHING = ("", "NULL", "(NULL)", "<NULL>", "[NULL]", "\\N", "#N/A", "N/A", "NONE", "NAN", "-")
NOT_RESEARCH = "direct_care"


@dataclass(frozen=True)
class Rule:
    """How one opt-out is applied; ``because`` is why not, or why its list may be older."""

    max_age_days: int
    applied: bool = True
    because: str = ""


@dataclass(frozen=True)
class Policy:
    """What the operator decided on each opt-out; by default all are applied."""

    rules: Mapping[str, Rule] = field(
        default_factory=lambda: {name: Rule(days) for name, days in MAX_AGE_DAYS.items()}
    )


def load_policy(path: Path) -> Policy:
    """Read ``opt_outs.toml``; without the file every opt-out is applied.

    Raises:
        LinkedCypError: the file cannot be read, names what is not an opt-out or a setting, or
            relaxes a rule without saying why.
    """
    if not path.exists():
        return Policy()
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LinkedCypError(f"{path.name} cannot be read: {type(error).__name__}") from None
    if unknown := sorted(set(given) - set(OPT_OUTS)):
        raise LinkedCypError(f"{path.name} names {unknown[0]}; there are {', '.join(OPT_OUTS)}")
    return Policy({name: _rule(name, given.get(name, {}), path.name) for name in OPT_OUTS})


def not_applied(because: str) -> Policy:
    """A policy that applies none, with the one reason."""
    rules = Policy().rules
    return Policy({n: replace(r, applied=False, because=because) for n, r in rules.items()})


def _rule(name: str, given: Any, file: str) -> Rule:
    default = Rule(MAX_AGE_DAYS[name])
    if not isinstance(given, dict) or set(given) - {"applied", "max_age_days", "because"}:
        raise LinkedCypError(f"{file}: {name} takes applied, max_age_days and because")
    rule = replace(default, **given)
    if type(rule.applied) is not bool or type(rule.max_age_days) is not int:
        raise LinkedCypError(f"{file}: {name}: applied is true or false, max_age_days a number")
    if rule.max_age_days < 0 or not isinstance(rule.because, str):
        raise LinkedCypError(f"{file}: {name}: because is a text, max_age_days not negative")
    relaxed = not rule.applied or rule.max_age_days > default.max_age_days
    if relaxed and len(rule.because.strip()) < LEAST_REASON:
        raise LinkedCypError(f"{file}: {name} is relaxed without saying why (because)")
    return replace(rule, because=" ".join(rule.because.split()))


@dataclass(frozen=True)
class Standing:
    """One opt-out against what has been delivered.

    Attributes:
        opt_out: one of ``OPT_OUTS``.
        feeds: feeds with accepted deliveries whose rows it takes out.
        rule: what the operator decided.
        deliveries: accepted deliveries of its list, ``delivery_id`` and date.
        list_date: the date as of which everybody's list is known; None without one.
        refused: deliveries of its list that were refused, and nothing newer of the supplier taken
            (a later day; of one day a greater version; of one version what came later): whoever
            opted out in them is known to nobody.
    """

    opt_out: str
    feeds: tuple[str, ...]
    rule: Rule
    deliveries: Mapping[str, dt.date]
    list_date: dt.date | None
    refused: tuple[str, ...] = ()

    def problem(self, today: dt.date) -> str | None:
        """Why nothing may be built, naming the list; None when it may."""
        if not self.rule.applied:
            return None
        if self.refused:
            return (
                f"a list of {self.opt_out} was refused and none taken since "
                f"({', '.join(self.refused)}): have it sent again, or withdraw it"
            )
        if self.list_date is None:
            return (
                f"no list of {self.opt_out} has been accepted, which {', '.join(self.feeds)} need"
            )
        latest = max(self.deliveries.values())
        return too_old(self.opt_out, self.list_date, self.rule.max_age_days, today) or too_old(
            self.opt_out, latest, (today - dt.date.min).days, today
        )


def too_old(opt_out: str, list_date: dt.date, max_age_days: int, today: dt.date) -> str | None:
    """What is wrong with a list's date, if anything is."""
    age = (today - list_date).days
    if age < 0:
        return f"the list of {opt_out} is dated in the future: {list_date}"
    if age > max_age_days:
        return f"the list of {opt_out} is of {list_date}, more than {max_age_days} days ago"
    return None


def standings(
    con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract], policy: Policy
) -> list[Standing]:
    """Every opt-out that some accepted delivery falls under.

    Args:
        con: connection with ``identifiable``.
        contracts: contracts by feed; their ``opt_outs`` are read.
        policy: what the operator decided.
    """
    accepted, refused = (_arrived(con, status) for status in ("accepted", "rejected"))
    held = set(accepted["feed"])
    found = []
    for name in OPT_OUTS:
        feeds = sorted(f for f in held if f in contracts and name in contracts[f].opt_outs)
        if not feeds:
            continue
        taken, unread = (frame.filter(feed=name) for frame in (accepted, refused))
        lists = {d: dt.date.fromisoformat(day) for d, day in taken.select("delivery_id", "period")
                 .iter_rows()}  # fmt: skip
        newest = {supplier: max(order) for supplier, order in _orders(taken).items()}
        # A reply to our question counts alone; of lists kept by several, the oldest tells.
        of = max if name == NATIONAL else min
        days = [dt.date.fromisoformat(order[0]) for order in newest.values()]
        passed = tuple(
            delivery
            for supplier, orders in _orders(unread).items()
            for order, delivery in orders.items()
            if supplier not in newest or newest[supplier] < order
        )
        date = of(days) if days else None
        found.append(
            Standing(name, tuple(feeds), policy.rules[name], lists, date, tuple(sorted(passed)))
        )
    return found


def _arrived(con: duckdb.DuckDBPyConnection, status: str) -> pl.DataFrame:
    """Deliveries of a status: ``delivery_id, supplier, feed`` and what orders those of a supplier.

    Whether one list is newer than another its supplier says, by its day and version; of two that
    are alike in these, as when a file is put right in its place, the one that was read later is.
    """
    return con.execute(
        "SELECT delivery_id, supplier, feed, period, version_order,"
        " coalesce(received_at, TIMESTAMP '1970-01-01') AS received_at"
        " FROM identifiable.ledger.current WHERE status = ? ORDER BY ALL",
        [status],
    ).pl()


def _orders(lists: pl.DataFrame) -> dict[str, dict[tuple[str, str, dt.datetime], str]]:
    """By supplier: what orders its lists, and the delivery."""
    found: dict[str, dict[tuple[str, str, dt.datetime], str]] = {}
    for delivery, supplier, _, *order in lists.iter_rows():
        period, version, received = order
        found.setdefault(supplier, {})[(period, version, received)] = delivery
    return found


def refuse(standing: Sequence[Standing], today: dt.date) -> None:
    """Refuse to build without the lists that are needed.

    Raises:
        LinkedCypError: names every list that is missing or too old.
    """
    problems = [problem for one in standing if (problem := one.problem(today))]
    if problems:
        raise LinkedCypError("opt-outs cannot be applied: " + "; ".join(problems))


@dataclass(frozen=True)
class Named:
    """Identifiers in their one spelling, in clear: for tokens, at once, and nothing else.

    Attributes:
        remaining: NHS numbers of those who did not opt out nationally; None: not applied.
        national: NHS numbers that a practice flags as opted out nationally.
        type_1: NHS numbers with a Type 1 opt-out; None: not applied.
        objections: ``kind`` (nhs, upn, la_child), ``value`` and ``place``: delivery, file and row.
    """

    remaining: pl.Series | None
    national: pl.Series
    type_1: pl.Series | None
    objections: pl.DataFrame


NOBODY = pl.Series("number", [], dtype=pl.String)
_OBJECTIONS = {"kind": pl.String, "value": pl.String, "place": pl.String}
MOST_NAMED = 10


def named(
    con: duckdb.DuckDBPyConnection,
    standing: Sequence[Standing],
    contracts: Mapping[str, Contract],
) -> Named:
    """Whom the lists name. Wrap it with ``value_free``.

    Raises:
        LinkedCypError: an opt-out, an objection or a dissent names nobody, so that it would be
            passed over; the rows are named by delivery, file and row.
    """
    applied = {one.opt_out: one for one in standing if one.rule.applied}
    remaining = national = type_1 = None
    if NATIONAL in applied:
        remaining = _remaining(con, applied[NATIONAL])
        national = _flagged(con, _dates_of(con, TYPE_1), "national_data_opted_in")
    if TYPE_1 in applied:
        dates = applied[TYPE_1].deliveries
        flagged = _flagged(con, dates, "consent_93c1")
        type_1 = pl.concat([_dissenting(con, dates), flagged]).unique()
    objections = pl.DataFrame(schema=_OBJECTIONS)
    if OBJECTION in applied:
        objections = _objections(con, applied[OBJECTION].deliveries, contracts)
    return Named(remaining, NOBODY if national is None else national, type_1, objections)


def _remaining(con: duckdb.DuckDBPyConnection, standing: Standing) -> pl.Series:
    """Numbers on the newest reply; on each of them, where several are of that day."""
    newest = {d: day for d, day in standing.deliveries.items() if day == standing.list_date}
    rows = _rows(con, f"{NATIONAL}__remaining", newest, "nhs_number")
    usable = rows.with_columns(_usable("nhs_number").alias("number")).drop_nulls("number")
    seen = usable.group_by("number").agg(pl.col("delivery_id").n_unique().alias("replies"))
    return seen.filter(pl.col("replies") == len(newest))["number"]


def _dissenting(con: duckdb.DuckDBPyConnection, dates: Mapping[str, dt.date]) -> pl.Series:
    """Numbers whose latest event is a dissent. What is not a withdrawal is one.

    Raises:
        LinkedCypError: a dissent has no usable number, so that it would be passed over.
    """
    rows = _rows(con, f"{TYPE_1}__status", dates, "nhs_number", "status_code", "recorded_date")
    code = pl.col("status_code").str.strip_chars().str.strip_chars(".").str.to_uppercase()
    events = rows.select(
        _usable("nhs_number").alias("number"),
        "place",
        code.is_in(WITHDRAWALS).not_().fill_null(True).alias("objects"),
        pl.col("recorded_date").alias("day"),
        "listed",
    )
    _refuse_lost(events, TYPE_1, "dissents have no valid NHS number")
    return objecting(events, "number")["number"]


def _flagged(
    con: duckdb.DuckDBPyConnection, dates: Mapping[str, dt.date], column: str
) -> pl.Series:
    """Numbers whose flag, in the newest list that has their row, says no.

    The flags are inverted: they say that the patient consents or is opted in. Nothing is no
    opt-out, and whatever is neither yes nor nothing is one.

    Raises:
        LinkedCypError: a flag says no of a number that cannot be read.
    """
    rows = _rows(con, f"{TYPE_1}__gp_flag", dates, "nhs_number", column)
    flag = _without(pl.col(column).str.strip_chars().str.to_uppercase(), NOTHING)
    flags = rows.select(
        _usable("nhs_number").alias("number"),
        flag.is_in(NOT_OPTED_OUT).not_().fill_null(False).alias("objects"),
        "listed",
        "place",
    )
    _refuse_lost(flags, TYPE_1, f"flags of {column} that say no have no valid NHS number")
    flags = flags.drop_nulls("number")
    newest = flags.filter(pl.col("listed") == pl.col("listed").max().over("number"))
    return newest.filter("objects")["number"].unique()


def _objections(
    con: duckdb.DuckDBPyConnection,
    dates: Mapping[str, dt.date],
    contracts: Mapping[str, Contract],
) -> pl.DataFrame:
    """Objections in force, by kind of identifier.

    An authority's own number counts in every spelling in which its deliveries hold it: the list is
    kept by hand, and what one system writes 00101 another writes 101.
    """
    columns = ("subject_reference", "scheme_code", "scope_code", "authority_name")
    rows = _rows(con, f"{OBJECTION}__objection", dates, *columns, "received_date", "withdrawn_date")
    scheme = pl.col("scheme_code").str.strip_chars().str.to_lowercase()
    scope = pl.col("scope_code").str.strip_chars().str.to_lowercase()
    place = pl.col("authority_name").str.strip_chars().str.to_lowercase().replace("", None)
    sender = pl.col("delivery_id").str.split(".").list.first()
    child = identifiers.standardise_id(pl.col("subject_reference"))
    value = (
        pl.when(scheme == "nhs").then(_usable("subject_reference"))
        .when(scheme == "upn").then(_usable("subject_reference", "upn"))
        .when(scheme == "la_child")
        .then(pl.concat_str(place.fill_null(sender), child, separator="|"))
    )  # fmt: skip
    known = rows.filter(scope.ne_missing(NOT_RESEARCH)).with_columns(
        scheme.alias("kind"), value.alias("value")
    )
    over = (pl.col("withdrawn_date") <= pl.col("listed")).fill_null(False)
    lost = known.with_columns(number="value", objects=over.not_())
    _refuse_lost(lost, OBJECTION, "objections name nobody (no scheme of ours, or no valid number)")
    made = pl.col("received_date").alias("day"), pl.lit(True).alias("objects")
    ended = pl.col("withdrawn_date").alias("day"), pl.lit(False).alias("objects")
    kept = ("kind", "value", "listed", "place")
    events = pl.concat(
        [
            known.select(*kept, *made),
            known.filter(pl.col("withdrawn_date").is_not_null()).select(*kept, *ended),
        ]
    ).drop_nulls("value")
    found = objecting(events, "kind", "value").select(*_OBJECTIONS)
    _refuse_unknown_authorities(con, found)
    local = found.filter(pl.col("kind") == "la_child").drop("value")
    loose = found.filter(pl.col("kind") == "la_child").select(loose=loosely(pl.col("value")))
    spelt = _local_ids(con, contracts).with_columns(loose=loosely(pl.col("value")))
    others = pl.concat([local, loose], how="horizontal").join(spelt, on="loose")
    every = pl.concat([found, others.select(*_OBJECTIONS)])
    return every.unique(("kind", "value"), keep="first", maintain_order=True)


def loosely(values: pl.Expr) -> pl.Expr:
    """``authority|id`` as people write ids: without case, leading zeros, ``.0`` or marks."""
    plain = values.str.to_uppercase().str.replace(r"\.0+$", "").str.replace_all(r"[^A-Z0-9|]", "")
    return plain.str.replace(r"\|0+([^|])", "|${1}")


def _local_ids(con: duckdb.DuckDBPyConnection, contracts: Mapping[str, Contract]) -> pl.DataFrame:
    """``value``: every authority's own number of a child that accepted deliveries hold in clear."""
    held = set(
        con.execute(
            "SELECT table_name, column_name FROM duckdb_columns()"
            " WHERE database_name = 'identifiable' AND schema_name = 'raw'"
        ).fetchall()
    )
    named = [
        (table.table_name, column.name)
        for contract in contracts.values()
        for table in contract.tables.values()
        for column in table.columns
        if column.linkage_role == "la_child_id" and (table.table_name, column.name) in held
    ]
    frames = [
        con.execute(
            f"SELECT DISTINCT c.supplier, r.{quoted(column)}::VARCHAR AS id FROM {raw(table)} r"
            " JOIN identifiable.ledger.current c USING (delivery_id) WHERE c.status = 'accepted'"
        ).pl()
        for table, column in named
    ]
    child = identifiers.standardise_id(pl.col("id"))
    value = pl.concat_str("supplier", child, separator="|").alias("value")
    known = pl.concat([pl.DataFrame(schema={"supplier": pl.String, "id": pl.String}), *frames])
    return known.select(value).drop_nulls().unique(maintain_order=True)


def _refuse_lost(events: pl.DataFrame, what: str, complaint: str) -> None:
    """Refuse events (``number``, ``objects``, ``place``) that object for nobody.

    Raises:
        LinkedCypError: names the rows, as far as they are few.
    """
    lost = events.filter(pl.col("number").is_null() & pl.col("objects"))["place"].sort()
    if lost.is_empty():
        return
    more = f" and {lost.len() - MOST_NAMED} more" if lost.len() > MOST_NAMED else ""
    raise LinkedCypError(
        f"{what}: {lost.len()} {complaint}: {'; '.join(lost.head(MOST_NAMED))}{more}: correct them,"
        " so that they are not passed over"
    )


def _refuse_unknown_authorities(con: duckdb.DuckDBPyConnection, found: pl.DataFrame) -> None:
    """A local id means something with its authority only: one that never sent anything is wrong."""
    known = [
        supplier
        for (supplier,) in con.execute(
            "SELECT DISTINCT supplier FROM identifiable.ledger.current WHERE feed <> ?", [OBJECTION]
        ).fetchall()
    ]
    authority = pl.col("value").str.split("|").list.first()
    lost = found.filter(pl.col("kind") == "la_child", ~authority.is_in(known))
    if lost.height:
        raise LinkedCypError(
            f"{OBJECTION}: {lost.height} objections are to an authority that has delivered nothing"
        )


def objecting(events: pl.DataFrame, *who: str) -> pl.DataFrame:
    """Those whose latest event is an objection; between events of one day, the objection counts.

    An end that lies after the day of its list has not come yet.
    """
    return (
        events.drop_nulls(who)
        .filter(pl.col("objects") | (pl.col("day") <= pl.col("listed")))
        .sort("day", "objects", nulls_last=True)  # an objection of no date is never outdated
        .group_by(who)
        .last()
        .filter("objects")
    )


def _without(text: pl.Expr, words: Sequence[str]) -> pl.Expr:
    return pl.when(~text.is_in(words)).then(text)


def _usable(column: str, kind: str = "nhs_number") -> pl.Expr:
    return IDENTIFIERS[kind].usable(pl.col(column))


def _dates_of(con: duckdb.DuckDBPyConnection, feed: str) -> dict[str, dt.date]:
    rows = con.execute(
        "SELECT delivery_id, period FROM identifiable.ledger.current"
        " WHERE status = 'accepted' AND feed = ?",
        [feed],
    ).fetchall()
    return {delivery: dt.date.fromisoformat(period) for delivery, period in rows}


def _rows(
    con: duckdb.DuckDBPyConnection, table: str, dates: Mapping[str, dt.date], *columns: str
) -> pl.DataFrame:
    """A raw table's columns for some deliveries, with ``delivery_id``, ``listed`` and ``place``.

    The table is there once any delivery held it; without rows it says nothing of anybody.
    """
    there = con.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'identifiable'"
        " AND schema_name = 'raw' AND table_name = ?",
        [table],
    ).fetchall()[0][0]
    kinds = {c: pl.Date() if c.endswith("_date") else pl.String() for c in columns}
    where = {"source_file": pl.Int64(), "row_number": pl.Int64()}
    schema = pl.Schema({"delivery_id": pl.String(), **where, **kinds})
    frame = pl.DataFrame(schema=schema)
    if there and dates:
        frame = con.execute(
            f"SELECT delivery_id, source_file, row_number, {', '.join(columns)} FROM {raw(table)}"
            " WHERE list_contains(?, delivery_id)",
            [list(dates)],
        ).pl()
    listed = pl.col("delivery_id").replace_strict(dict(dates), default=None, return_dtype=pl.Date)
    place = pl.format("{} file {} row {}", "delivery_id", *where)
    return frame.cast(schema).with_columns(listed.alias("listed"), place.alias("place"))
