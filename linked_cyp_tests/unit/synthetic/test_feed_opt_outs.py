"""The three lists of opt-outs as files: read back, reconciled, refused when not whole."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb
import polars as pl
import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.ingest import ledger
from linked_cyp.ingest.readers import likeliest_feed
from linked_cyp.ingest.readers.staging import SourceFile
from linked_cyp.opt_outs.policy import MAX_AGE_DAYS, Named, Policy, load_policy, named, standings
from linked_cyp.synthetic.opt_outs import build_opt_outs
from linked_cyp.synthetic.parameters import Streams, load_parameters
from linked_cyp.synthetic.world import World, build_world
from linked_cyp.synthetic.writers import opt_outs
from linked_cyp.synthetic.writers.delivery import write_delivery
from linked_cyp_tests.deliveries_support import land, memory_store, quarantined, rows, take

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")
NATIONAL = CONTRACTS["national_data_opt_out"]
TYPE_1 = CONTRACTS["type1_opt_out"]
OBJECTION = CONTRACTS["local_objection"]
OLDER = "2025-04-01"
DAY = "2025-04-15"


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(
        load_parameters(), Streams(2), children=800, authorities=2, years=range(2025, 2026)
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, world: World) -> duckdb.DuckDBPyConnection:
    """The synthetic lists, ingested, and one empty delivery of each feed that needs them."""
    home = tmp_path_factory.mktemp("opt_outs")
    con = memory_store()
    for make in opt_outs.deliveries(world):
        sent, rng = make(), world.streams("no faults")
        write = sent.write or write_delivery
        written = write(home / "landing", CONTRACTS[sent.feed], sent, rng)
        (folder,) = home.glob(f"landing/*/{sent.feed}/*")
        outcome = take(con, CONTRACTS[sent.feed], folder)
        assert outcome.status == "accepted"
        assert sum(t.accepted for t in outcome.tables.values()) == written.rows
    for feed, supplier in (("gp_olids", "icb"), ("ssda903", "ashmere"), ("ssda903", "brackenford")):
        con.execute(
            f"INSERT INTO {ledger.DELIVERY} (delivery_id, supplier, feed, period, version_order,"
            " content_sha256, outcome) VALUES (?, ?, ?, '2025', '1', ?, 'accepted')",
            [f"{supplier}.2025.{feed}", supplier, feed, feed],
        )
    return con


@pytest.fixture(scope="module")
def lists(store: duckdb.DuckDBPyConnection) -> Named:
    return named(store, standings(store, CONTRACTS, Policy()), CONTRACTS)


def numbers(world: World, frame: pl.DataFrame) -> set[str]:
    persons = world.population.persons
    return set(persons.join(frame, on="person_id", how="semi")["nhs_number"])


def test_the_reply_lists_everybody_but_those_who_opted_out(world: World, lists: Named) -> None:
    made = world.part(build_opt_outs)
    assert lists.remaining is not None
    gone = numbers(world, made.national)
    assert 0 < len(gone) < world.population.persons.height * 0.2
    assert set(lists.remaining) == set(world.population.persons["nhs_number"]) - gone


def test_dissents_and_flags_give_who_truly_dissents(world: World, lists: Named) -> None:
    made = world.part(build_opt_outs)
    assert lists.type_1 is not None
    assert set(lists.type_1) == numbers(world, made.type_1.filter(pl.col("ended").is_null()))
    flagged = made.national.join(made.flags, on="person_id", how="semi")
    assert set(lists.national) == numbers(world, flagged)


def test_the_lists_are_as_untidy_as_such_lists_are(store: duckdb.DuckDBPyConnection) -> None:
    """Nothing of it may change who is out, which the tests above say."""
    spelt = {
        "national_data_opt_out__remaining": ("nhs_number", r"^\d{3} \d{3} \d{4}$"),
        "type1_opt_out__status": ("status_code", r"^9Nu[01]\.$"),
        "type1_opt_out__gp_flag": ("consent_93c1", "^(false|0|N|true|1)$"),
    }
    for table, (column, pattern) in spelt.items():
        odd, rows_ = store.execute(
            f"SELECT count(*) FILTER (regexp_matches({column}, '{pattern}')), count(*)"
            f" FROM identifiable.raw.{table}"
        ).fetchall()[0]
        assert 0 < odd < rows_, table
    assert store.execute(
        "SELECT count(*) - count(DISTINCT replace(nhs_number, ' ', ''))"
        " FROM identifiable.raw.national_data_opt_out__remaining"
    ).fetchall() == [(1,)]


def test_objections_in_force_are_those_not_withdrawn(world: World, lists: Named) -> None:
    made = world.part(build_opt_outs).objections
    standing = made.filter(pl.col("ended").is_null())
    assert standing.height > 0
    found = set(lists.objections.filter(pl.col("kind") == "nhs")["value"])
    assert found <= numbers(world, standing)
    assert standing.height <= lists.objections.height <= 2 * standing.height


def test_families_decide_together(world: World) -> None:
    made = world.part(build_opt_outs)
    homes = world.population.persons.select("person_id", "household_id")
    of = homes.join(made.national, on="person_id", how="semi")["household_id"]
    assert homes.filter(pl.col("household_id").is_in(of.implode())).height == of.len()


def test_an_invented_home_says_why_its_lists_may_be_old(tmp_path: Path, world: World) -> None:
    opt_outs.write_settings(tmp_path, world)
    rules = load_policy(tmp_path / "opt_outs.toml").rules
    for name, rule in rules.items():
        assert rule.applied
        assert rule.max_age_days > MAX_AGE_DAYS[name]
        assert "Invented people" in rule.because
    (tmp_path / "opt_outs.toml").write_text("")
    opt_outs.write_settings(tmp_path, world)
    assert load_policy(tmp_path / "opt_outs.toml") == Policy()


# --- the reply's form ---------------------------------------------------------------------------

FORMS = {
    "plain": "9990000018\n9990000026\n",
    "no last line end": "9990000018\n9990000026",
    "a comma behind each": "9990000018,\r\n9990000026,\r\n",
    "with a header": "NHS Number\n9990000018\n9990000026\n",
    "with our header and a comma": "nhs_number,\n9990000018,\n9990000026,\n",
    "a byte order mark": "\ufeff9990000018\r\n9990000026\r\n",
    "grouped and quoted": '"999 000 0018"\n"999 000 0026"\n',
}


@pytest.mark.parametrize("form", FORMS)
def test_a_list_of_numbers_is_read_with_and_without_a_header(tmp_path: Path, form: str) -> None:
    con = memory_store()
    folder = land(tmp_path / "landing", {"reply.dat": FORMS[form]}, feed=NATIONAL.feed, name=DAY)
    outcome = take(con, NATIONAL, folder)
    assert outcome.status == "accepted"
    assert outcome.tables["remaining"].accepted == 2
    held = [
        number.replace(" ", "")
        for (number,) in rows(con, "national_data_opt_out__remaining", "nhs_number")
    ]
    assert held == ["9990000018", "9990000026"]
    assert [n for (n,) in rows(con, "national_data_opt_out__remaining", "row_number")] == [1, 2]


def test_a_list_of_numbers_is_told_from_other_files(tmp_path: Path) -> None:
    files = {"reply": FORMS["plain"], "other": "nhs_number,concept_code,recorded_date\n", "x": "\0"}
    found = {}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        file = SourceFile(0, name, tmp_path / name)
        found[name] = likeliest_feed((TYPE_1, NATIONAL, OBJECTION), [file])
    assert found == {"reply": NATIONAL, "other": TYPE_1, "x": None}


def test_blank_lines_of_a_reply_are_nobody(tmp_path: Path) -> None:
    con = memory_store()
    text = "9990000018,\n,\n\n9990000026,\n"
    folder = land(tmp_path / "landing", {"reply.csv": text}, feed=NATIONAL.feed, name=DAY)
    counts = take(con, NATIONAL, folder).tables["remaining"]
    assert (counts.accepted, counts.quarantined) == (2, 1)  # one had a comma


# --- lists that are not whole -------------------------------------------------------------------

GOOD = "9990000018,827241000000103,2024-01-02\n"
HEAD = "nhs_number,concept_code,recorded_date\n"


@pytest.mark.parametrize(
    "row",
    [
        ",827241000000103,2024-01-02\n",
        "9990000026,827241000000103,31/02/2024\n",
        "9990000026,827241000000103,\n",
        "9990000026,,2024-01-02\n",
        '9990000026,"827241000000103,2024-01-02\n',
    ],
    ids=["no number", "no such day", "no day", "no code", "open quote"],
)
def test_one_row_that_cannot_be_read_refuses_the_whole_list(tmp_path: Path, row: str) -> None:
    con = memory_store()
    files = {"list.csv": HEAD + GOOD * 200 + row}
    folder = land(tmp_path / "landing", files, feed=TYPE_1.feed, name=DAY)
    outcome = take(con, TYPE_1, folder)
    assert outcome.status == "rejected"
    assert [n for _, n, scope, *_ in quarantined(con) if scope == "row"] == [201]
    assert standings(con, CONTRACTS, Policy()) == []


@pytest.mark.parametrize("contract", [TYPE_1, OBJECTION], ids=lambda c: c.feed)
def test_a_list_of_nobody_is_a_list(tmp_path: Path, contract: object) -> None:
    assert contract in (TYPE_1, OBJECTION)
    con = memory_store()
    made = TYPE_1 if contract is TYPE_1 else OBJECTION
    table = next(iter(made.tables.values()))
    header = ",".join(column.physical_name for column in table.columns) + "\n"
    folder = land(tmp_path / "landing", {"list.csv": header}, feed=made.feed, name=DAY)
    assert take(con, made, folder).status == "accepted"


def test_a_list_that_was_refused_stops_the_build_until_it_is_taken(tmp_path: Path) -> None:
    """Also when an older list of the supplier is there: who objected since is in neither."""
    con = memory_store()
    ledger.prepare(con)
    con.execute(
        f"INSERT INTO {ledger.DELIVERY} (delivery_id, supplier, feed, period, version_order,"
        " content_sha256, outcome)"
        " VALUES ('a.2025.b', 'a', 'ssda903', '2025', '1', 'b', 'accepted')"
    )
    head = "subject_ref,scheme,authority,scope,received_date,withdrawn_date\n"
    said = {
        OLDER: ("9990000026,nhs,,all,2024-01-02,\n", "accepted"),
        DAY: ("9990000018,nhs,,all,2024-01-02,last week\n", "rejected"),
    }
    for day, (text, status) in said.items():
        folder = land(
            tmp_path / "landing", {"list.csv": head + text}, feed=OBJECTION.feed, name=day
        )
        outcome = take(con, OBJECTION, folder)
        assert outcome.status == status
    today = dt.date.fromisoformat(DAY)

    def problem() -> str | None:
        standing = standings(con, CONTRACTS, Policy())
        return next(s for s in standing if s.opt_out == OBJECTION.feed).problem(today)

    assert outcome.delivery_id in (problem() or "")
    text = "9990000018,nhs,,all,2024-01-02,\n"
    folder = land(tmp_path / "again", {"list.csv": head + text}, feed=OBJECTION.feed, name=DAY)
    assert take(con, OBJECTION, folder).status == "accepted"
    assert problem() is None
    found = named(con, standings(con, CONTRACTS, Policy()), CONTRACTS).objections
    assert ("nhs", "9990000018") in found.select("kind", "value").rows()
