"""An authority encodes its returns: the same rows, records, pairs and persons as in clear."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from linked_cyp.ingest import landing
from linked_cyp.ingest.encoded import received
from linked_cyp.ingest.encoded.supplier_keys import supplier_keys
from linked_cyp.linkage import build_person_records, predict, resolve, train
from linked_cyp.opt_outs.policy import OBJECTION, Policy, Rule, not_applied
from linked_cyp.pseudonymise.reference import load_postcodes
from linked_cyp.supplier.encode import encode
from linked_cyp.synthetic import synthesise
from linked_cyp_tests.deliveries_support import land
from linked_cyp_tests.encoded_support import CONTRACTS, Centre, centre
from linked_cyp_tests.support import NOT_ASKED

CHILDREN = 120
BY_AUTHORITY = ("school_census", "ssda903")


@dataclass(frozen=True)
class World:
    clear: Centre
    encoded: Centre


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("round_trip")
    synthesise(root / "source", children=CHILDREN, local_authorities=1, seed=3)
    postcodes = load_postcodes(root / "source" / "reference" / "postcodes.csv")
    newest: dict[str, Path] = {}
    for folder in landing.folders(root / "source" / "landing"):
        newest[folder.parent.name] = folder  # in order of period: the last one stays
    clear, coded = (centre(root / name) for name in ("clear", "encoded"))
    with clear.open() as con, coded.open() as other:
        for feed in (*BY_AUTHORITY, "pds_demographics"):
            assert clear.take(newest[feed], postcodes).status == "accepted"
            sent = newest[feed]
            if feed in BY_AUTHORITY:
                keys = supplier_keys(coded.keys, CONTRACTS[feed], sent.parent.parent.name)
                sent = encode(sent, CONTRACTS, keys, postcodes, root / "out").folder
            assert coded.take(sent, postcodes).status == "accepted"
        for here in (clear, coded):
            build_person_records(here.held, CONTRACTS, here.keys, opt_outs=NOT_ASKED)
        train(con)
        # One model for both: names are counted a little otherwise when some never came.
        other.register("settled", con.execute("FROM linkage.main.model").to_arrow_table())
        other.execute("CREATE OR REPLACE TABLE linkage.main.model AS FROM settled")
        for here in (clear, coded):
            predict(here.held)
            resolve(here.held)
        yield World(clear, coded)


def same(world: World, query: str) -> list[tuple]:
    """The rows of a query, which are the same at both."""
    clear, coded = (here.rows(query) for here in (world.clear, world.encoded))
    assert clear == coded
    return clear


def test_the_pseudonymised_rows_are_the_same(world: World) -> None:
    rows = 0
    for feed in BY_AUTHORITY:
        for table in CONTRACTS[feed].tables.values():
            query = "SELECT * EXCLUDE (delivery_id) FROM warehouse.pseudonymised"
            rows += len(same(world, f"{query}.{table.table_name} ORDER BY ALL"))
    assert rows > CHILDREN


def test_the_person_records_are_the_same(world: World) -> None:
    records = same(world, "SELECT * FROM linkage.main.person_record ORDER BY record_id")
    assert len(records) > 1.5 * CHILDREN
    same(world, "FROM linkage.main.source ORDER BY ALL")
    same(world, "FROM linkage.main.identifier_alias ORDER BY ALL")


def test_the_pairs_weights_and_persons_are_the_same(world: World) -> None:
    pairs = same(world, "SELECT * EXCLUDE (model_id) FROM linkage.main.pairs ORDER BY ALL")
    assert len(pairs) > 0.5 * CHILDREN
    same(
        world,
        "SELECT list(record_key ORDER BY record_key) AS keys FROM linkage.main.person"
        " GROUP BY cluster ORDER BY keys",
    )


def test_names_are_counted_nearly_alike(world: World) -> None:
    """What a model trained where the names never came would differ by."""
    query = "SELECT field, level, share FROM linkage.main.name_agreement ORDER BY ALL"
    clear, coded = (here.rows(query) for here in (world.clear, world.encoded))
    assert [row[:2] for row in clear] == [row[:2] for row in coded]
    assert max(abs(a[2] - b[2]) for a, b in zip(clear, coded, strict=True)) < 0.02


def test_no_name_came_to_the_centre(world: World) -> None:
    with world.encoded.open() as con:
        raw = [
            name
            for (name,) in con.execute(
                "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw'"
            ).fetchall()
        ]
        assert raw
        assert all(name.startswith("pds_demographics__") for name in raw)
        held = received.stored_tables(con)
    assert {"person_record", "school_census__pupil_on_roll", "ssda903__episodes"} <= held


def test_the_step_of_the_graph_takes_it_and_says_who_checked(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linked_cyp.ingest import step as ingest_step
    from linked_cyp.pseudonymise import step as pseudonymise_step

    sent = next((world.clear.stores.settings.home.parent / "out").glob("*/ssda903/*"))
    here = centre(tmp_path / "home")
    contract = CONTRACTS["ssda903"]
    target = here.stores.settings.landing / Path(*sent.parts[-3:])
    shutil.copytree(sent, target)
    (landed,) = landing.discover(here.stores.settings.landing, CONTRACTS)
    outcome, verdicts, _ = ingest_step.ingest(here.stores, contract, landed.delivery_id, "a run")
    assert outcome.is_encoded
    year = contract.collection_year(outcome.period)
    for table in contract.tables.values():
        found = verdicts["raw", "ssda903", table.name]
        accepted = outcome.table(table.name).accepted
        rules = ingest_step.raw_rules(contract, table, landed.delivery_id, year, accepted)
        assert [o.name for o in found] == [rule.name for rule in rules]
        told = {o.name for o in found if received.BY_SUPPLIER in o.metrics}
        assert {o.name for o in found} - told <= {"ledger__reconciles", "quarantine__share"} | {
            o.name for o in found if received.NOT_APPLICABLE in o.metrics
        }
    monkeypatch.setattr(
        pseudonymise_step,
        "postcode_directory",
        lambda _: pl.DataFrame(schema={"postcode": pl.String}),
    )
    written, checked = pseudonymise_step.pseudonymise_accepted(
        here.stores, contract, landed.delivery_id, "a run"
    )
    assert sum(written.values()) == outcome.accepted > 0
    assert not [
        o.name for v in checked.values() for o in v if not o.passed and o.severity == "error"
    ]


def test_an_objection_finds_what_was_encoded(world: World, tmp_path: Path) -> None:
    """By UPN, and by an id of the authority, the same records are marked at both."""
    upn, child, council = world.clear.rows(
        "SELECT (SELECT min(upn) FROM identifiable.raw.school_census__pupil_on_roll"
        " WHERE regexp_matches(upn, '^[A-Z][0-9]{12}$')), min(child_id),"
        " min(split_part(delivery_id, '.', 1)) FROM identifiable.raw.ssda903__header"
    )[0]
    head = "subject_ref,scheme,authority,scope,received_date,withdrawn_date\n"
    listed = f"{upn},upn,,research,2025-01-02,\n{child},la_child,{council},all,2025-01-02,\n"
    files = {"objections.csv": head + listed}
    folder = land(tmp_path, files, feed=OBJECTION, supplier="keeper", name="2025-04-15")
    policy = not_applied("other opt-outs have tests of their own")
    rules = {**policy.rules, OBJECTION: Rule(45)}
    for here in (world.clear, world.encoded):
        assert here.take(folder).status == "accepted"
        with here.open() as con:
            day = dt.date(2025, 4, 20)
            build_person_records(con, CONTRACTS, here.keys, opt_outs=Policy(rules), today=day)
    marked = same(
        world,
        "SELECT feed, count(*) FROM linkage.main.objector JOIN linkage.main.person_record"
        " USING (record_key) JOIN linkage.main.source USING (source)"
        " WHERE alternative = 0 GROUP BY feed ORDER BY feed",
    )
    assert {feed for feed, _ in marked} == set(BY_AUTHORITY)
