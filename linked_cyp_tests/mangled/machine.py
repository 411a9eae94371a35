"""Take a spoilt delivery as far as a clean one goes, and say what became of it.

A spoilt delivery is *equal* when everything that is made of it is: its typed rows, or, where those
differ, its pseudonymised rows and the identities that linkage reads, which are all that the curated
tables are made from. Else it must be *refused*, by a reason that names a file, a column, a table or
a rule, or by a check of error severity. What is neither is *silent*: believed with other numbers.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.contracts.model import Column, Contract, load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.expectations import contract_rules, ledger_rules, run_rules
from linked_cyp.expectations.rules import delivery_filter
from linked_cyp.identity.keys import Keys
from linked_cyp.ingest import ledger
from linked_cyp.ingest.deliveries import DeliveryOutcome, ingest
from linked_cyp.ingest.landing import Unidentified, data_files, identify
from linked_cyp.ingest.periods import span
from linked_cyp.linkage.records.identities import read_identities
from linked_cyp.opt_outs.policy import MAX_AGE_DAYS, Rule, Standing, named, too_old
from linked_cyp.pseudonymise.deliveries import pseudonymise_delivery
from linked_cyp.pseudonymise.reference import load_postcodes
from linked_cyp.synthetic import synthesise
from linked_cyp_tests.mangled.files import Delivery
from linked_cyp_tests.mangled.ways import WAYS, Way, is_day, later, moment

CHILDREN, SEED = 250, 8
KEYS = Keys(hashlib.sha256(b"a master key for tests").digest())
EQUAL, REFUSED, SILENT, UNFIT = "equal", "refused", "silent", "-"
Content = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Verdict:
    """What became of one way in one feed; ``why`` the reason, or where the numbers differ."""

    way: str
    feed: str
    result: str
    why: str = ""


@dataclass
class Bench:
    """One feed: its newest clean delivery, and a store that holds the ones before it."""

    contracts: Mapping[str, Contract]
    contract: Contract
    clean: Delivery
    con: duckdb.DuckDBPyConnection
    postcodes: pl.DataFrame
    folder: Path
    typed: Content = field(default_factory=dict)
    made: Content = field(default_factory=dict)


def invent(home: Path) -> None:
    """The population whose deliveries are spoilt."""
    synthesise(home, children=CHILDREN, local_authorities=1, years=(2024, 2025), seed=SEED)


def feeds(home: Path) -> dict[str, list[Path]]:
    """Folders of deliveries by feed, oldest first, of one supplier each."""
    found: dict[str, list[Path]] = {}
    for folder in sorted((home / "landing").glob("*/*/*"), key=lambda f: _order(f.name)):
        found.setdefault(folder.parent.name, []).append(folder)
    return dict(sorted(found.items()))


def _order(period: str) -> tuple[str, str]:
    """Terms as the year goes: spring, summer, autumn."""
    year, _, rest = period.partition("-")
    return year, {"spring": "1", "summer": "2", "autumn": "3"}.get(rest, rest)


@contextmanager
def bench(home: Path, feed: str, work: Path) -> Iterator[Bench]:
    """A bench for one feed, with its clean delivery taken and forgotten again."""
    contracts = load_contracts(PROJECT_ROOT / "data_contracts")
    contract = contracts[feed]
    *before, newest = feeds(home)[feed]
    files = {path.name: path.read_bytes() for path in data_files(newest)}
    clean = grown(Delivery(contract, newest.parents[1].name, newest.name, files))
    folder = work / feed
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("ATTACH ':memory:' AS identifiable; ATTACH ':memory:' AS warehouse")
        made = Bench(
            contracts,
            contract,
            clean,
            con,
            load_postcodes(home / "reference" / "postcodes.csv"),
            folder,
        )
        for path in before:
            ingest(con, contract, identify(path, {feed: contract}), folder / "work", keys=KEYS)
        if not before:
            remember_an_earlier(made)
        outcome = take(made, clean)
        assert outcome.status == "accepted", f"{feed}: clean is {outcome.status}: {outcome.reason}"
        made.typed = typed(made, outcome.delivery_id)
        made.made = research(made, outcome.delivery_id)
        forget(made, outcome.delivery_id)
        yield made


FEW = 40


def grown(delivery: Delivery) -> Delivery:
    """A delivery of one small table with as many rows as say something: of other people, and spread
    over the time up to its end. What befell two children nobody can hold against anything."""
    (file, *more) = delivery.each()
    sheet = file.sheet
    if more or sheet is None or not sheet.rows or len(sheet.rows) >= FEW:
        return delivery
    days = [at.date() for p in sheet.places(is_day) for at in map(moment, sheet.filled(p)) if at]
    apart = (span(delivery.contract, delivery.period)[1] - max(days)).days // FEW
    rows = tuple(
        tuple(
            _another(cell, sheet.columns.get(place), number, max(apart, 0))
            for place, cell in enumerate(sheet.rows[number % len(sheet.rows)])
        )
        for number in range(FEW)
    )
    return delivery.with_files({file.name: replace(sheet, rows=rows).encoded()})


def _another(cell: str, column: Column | None, number: int, apart: int) -> str:
    if column is None or not cell:
        return cell
    if column.identifier_type == "nhs_number":
        first = f"99{900000 + number * 37:07}"
        check = -sum(int(digit) * (10 - n) for n, digit in enumerate(first)) % 11
        return cell if check == 10 else f"{first}{check}"
    if column.primary_key_position:
        return re.sub("[0-9]+$", lambda digits: str(int(digits[0]) + 10 * number), cell)
    return later(cell, number * apart) if is_day(column) else cell


def remember_an_earlier(at: Bench) -> None:
    """Let the ledger know a delivery of the period before, as large as the clean one.

    Of a supplier's very first delivery nothing says how large it should be: not what is asked here.
    """
    outcome = take(at, at.clean)
    assert outcome.status == "accepted", f"{at.contract.feed}: {outcome.reason}"
    earlier = f"{int(at.clean.period[:4]) - 1}{at.clean.period[4:]}"
    at.con.execute(f"UPDATE {ledger.DELIVERY} SET period = ?", [earlier])
    known_as = f"{at.clean.supplier}.{earlier}.{'0' * 12}"
    for table in (ledger.DELIVERY, ledger.FILE, ledger.TABLE, ledger.COLUMN):
        at.con.execute(f"UPDATE {table} SET delivery_id = ?", [known_as])
    forget(at, outcome.delivery_id)


def judge(at: Bench, way: Way) -> Verdict:
    """What becomes of the bench's delivery when it is spoilt in one way."""
    feed = at.contract.feed
    spoilt = way.spoil(at.clean)
    if spoilt is None:
        return Verdict(way.name, feed, UNFIT)
    try:
        outcome = take(at, spoilt)
    except Unidentified as problem:
        return Verdict(way.name, feed, *_named(at, str(problem)))
    try:
        if outcome.status != "accepted":
            return Verdict(way.name, feed, *_named(at, outcome.reason or ""))
        return _accepted(at, way, outcome)
    finally:
        forget(at, outcome.delivery_id)


def _accepted(at: Bench, way: Way, outcome: DeliveryOutcome) -> Verdict:
    feed = at.contract.feed
    found = typed(at, outcome.delivery_id)
    if found == at.typed and outcome.period == at.clean.period:
        return Verdict(way.name, feed, EQUAL)
    if at.contract.domain == "governance":  # an old list is refused when it is to be applied
        of, now = (dt.date.fromisoformat(p) for p in (outcome.period, at.clean.period))
        if problem := too_old(feed, of, MAX_AGE_DAYS[feed], now):
            return Verdict(way.name, feed, REFUSED, problem)
    try:
        made = research(at, outcome.delivery_id)
    except LinkedCypError as error:
        return Verdict(way.name, feed, REFUSED, str(error))
    if made == at.made and outcome.period == at.clean.period:
        return Verdict(way.name, feed, EQUAL)
    other = {name for name in found if found[name] != at.typed.get(name)}
    if broken := checks(at, outcome, other):
        return Verdict(way.name, feed, REFUSED, f"check failed: {broken}")
    return Verdict(way.name, feed, SILENT, _difference(at, outcome, found, made))


def _named(at: Bench, reason: str) -> tuple[str, str]:
    """A refusal counts when it says where: a file, a table, a column or a rule."""
    names = [n for t in at.contract.tables.values() for n in (t.name, *(c.name for c in t.columns))]
    names += ["file", "folder", "period", "__"]
    says = any(re.search(rf"(?<![a-z]){re.escape(name)}(?![a-z])", reason) for name in names)
    says = says or "__" in reason
    return (REFUSED, reason) if says else (SILENT, f"refused without saying where: {reason!r}")


def take(at: Bench, delivery: Delivery) -> DeliveryOutcome:
    """Land a delivery and ingest it."""
    folder = at.folder / "landing" / delivery.supplier / at.contract.feed / delivery.period
    shutil.rmtree(at.folder / "landing", ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in delivery.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    landed = identify(folder, {at.contract.feed: at.contract})
    return ingest(at.con, at.contract, landed, at.folder / "work", keys=KEYS, again=True)


def forget(at: Bench, delivery_id: str) -> None:
    """As if the delivery had never come."""
    tables = [*ledger.tables_of_rows(at.con), ledger.REJECTED, ledger.DELIVERY, ledger.FILE]
    tables += [ledger.TABLE, ledger.ARCHIVE]
    tables += [f"warehouse.pseudonymised.{name}" for name in _tables(at, "pseudonymised")]
    for table in tables:
        at.con.execute(f"DELETE FROM {table} WHERE delivery_id = ?", [delivery_id])


def _tables(at: Bench, schema: str) -> list[str]:
    rows = at.con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = ? ORDER BY 1", [schema]
    ).fetchall()
    return [name for (name,) in rows]


def typed(at: Bench, delivery_id: str) -> Content:
    """Each raw table of the delivery: rows, and a hash that knows no order."""
    return {
        name: _content(at.con, f"identifiable.raw.{name}", delivery_id)
        for name in _tables(at, "raw")
    }


def research(at: Bench, delivery_id: str) -> Content:
    """All that the curated tables are made from: pseudonymised tables, and identities; of a list of
    opt-outs, whom it names."""
    if at.contract.domain == "governance":
        return _whom_it_names(at, delivery_id)
    pseudonymise_delivery(at.con, at.contract, delivery_id, KEYS, at.postcodes)
    found = {
        name: _content(at.con, f"warehouse.pseudonymised.{name}", delivery_id)
        for name in _tables(at, "pseudonymised")
        if name != "delivery"
    }
    with read_identities(at.con, at.contracts, KEYS) as read:
        people = pl.concat([pl.DataFrame(), *read.batches()], how="diagonal_relaxed")
    return {**found, "identities": _people(at.con, people)}


def _people(con: duckdb.DuckDBPyConnection, people: pl.DataFrame) -> tuple[int, int]:
    if people.is_empty():
        return 0, 0
    lists = [pl.col(name).list.sort() for name, type_ in people.schema.items() if type_ == pl.List]
    con.register("people_now", people.with_columns(lists).to_arrow())  # of no order
    row = con.execute(
        "SELECT count(*), coalesce(sum(hash(p)::HUGEINT), 0) FROM people_now p"
    ).fetchone()
    con.unregister("people_now")
    return row or (0, 0)


def _whom_it_names(at: Bench, delivery_id: str) -> Content:
    feed, day = at.contract.feed, dt.date.fromisoformat(delivery_id.split(".")[1])
    standing = Standing(feed, ("any",), Rule(0), {delivery_id: day}, day)
    found = named(at.con, [standing], at.contracts)
    numbers = [found.remaining, found.national, found.type_1, found.objections["value"]]
    return {
        str(place): (0, 0) if numbers_ is None else (numbers_.len(), hash(tuple(numbers_.sort())))
        for place, numbers_ in enumerate(numbers)
    }


def _content(con: duckdb.DuckDBPyConnection, table: str, delivery_id: str) -> tuple[int, int]:
    row = con.execute(
        "SELECT count(*), coalesce(sum(hash(t)::HUGEINT), 0) FROM (SELECT * EXCLUDE (delivery_id,"
        f" row_number, source_file) FROM {table} WHERE delivery_id = ?) t",
        [delivery_id],
    ).fetchone()
    return row or (0, 0)


def checks(at: Bench, outcome: DeliveryOutcome, tables: set[str]) -> str | None:
    """The first error check of some raw tables of the delivery that does not hold."""
    year = at.contract.collection_year(outcome.period)
    for table in at.contract.tables.values():
        if table.table_name not in tables:
            continue
        accepted = outcome.table(table.name).accepted
        rules = [
            *ledger_rules(outcome.delivery_id, table.name, at.contract.max_quarantined_share),
            *contract_rules(table, year, rows=accepted),
        ]
        rules = [rule for rule in rules if rule.severity == "error"]
        relation = f"identifiable.raw.{table.table_name}"
        for found in run_rules(at.con, relation, rules, delivery_filter(outcome.delivery_id)):
            if not found.passed:
                return f"{table.name}: {found.name}"
    return None


def _difference(at: Bench, outcome: DeliveryOutcome, typed_: Content, made: Content) -> str:
    """Where the numbers differ, in a few words."""
    if outcome.period != at.clean.period:
        return f"taken as {outcome.period}"
    rows = [
        f"{name} {at.typed[name][0]}→{n}"
        for name, (n, _) in typed_.items()
        if n != at.typed[name][0]
    ]
    values = [name for name in made if made[name] != at.made.get(name)]
    cells = sum(t.cells_blanked for t in outcome.tables.values())
    said = f" ({outcome.quarantined} quarantined, {cells} blanked)"
    return (
        f"rows {', '.join(rows[:3])}{said}" if rows else f"values of {', '.join(values[:3])}{said}"
    )


def judge_feed(home: Path, feed: str, ways: Sequence[str] = ()) -> list[Verdict]:
    """Every way (or those named) in one feed."""
    with bench(home, feed, home / "bench") as at:
        return [judge(at, way) for way in WAYS.values() if not ways or way.name in ways]
