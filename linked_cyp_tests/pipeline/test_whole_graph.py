"""Everything through Dagster, on a few hundred children: what came out, and what did not.

The installation is made once (``linked_cyp_tests/whole_graph.py``); these tests only read it.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb
import polars as pl
import pytest

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.linkage.report import evaluate
from linked_cyp.release import content_hash_of
from linked_cyp_tests.privacy.decode import scan_catalog
from linked_cyp_tests.whole_graph import LEAVER, PROJECT, Story

# What a run may say in words: names and verdicts of ours, never anything out of a delivery.
# tables that may be empty among so few children
RARE = {
    "curated.care_leaver",
    "curated.exclusion",
    "curated.hospital_critical_care",
    "curated.hospital_procedure",
    "curated.looked_after_episode_removed",
    "curated.section_47",
}
NO_CHILDREN = {"curated.looked_after_episode_repair", "curated.school"}  # rules, and schools
SPOKEN_BY_ASSETS = {
    "dagster/column_schema",
    "dagster/table_name",
    "older releases with small differences",
    "tables with small differences",
    "content hash",
    "data fingerprint",
    "file",
    "invocation_id",
    "mode",
    "period",
    "reason",
    "release",
    "report",
    "status",
    "supplier",
    "training sessions",
    "unique_id",
}
SPOKEN_BY_DBT_TESTS = {"invocation_id", "status", "unique_id"}
# names of the rules that rows break, by which checks are shown together
SPOKEN_BY_CHECKS = SPOKEN_BY_DBT_TESTS | {"broken"}


@pytest.fixture(scope="module")
def contracts(story: Story) -> dict[str, Contract]:
    return load_contracts(story.settings.contracts)


@pytest.fixture(scope="module")
def stores(story: Story) -> Iterator[duckdb.DuckDBPyConnection]:
    with story.stores.connect(identifiable="ro", linkage="ro", warehouse="ro") as con:
        yield con


@pytest.fixture(scope="module")
def both(story: Story) -> Iterator[duckdb.DuckDBPyConnection]:
    """The release before the withdrawal as ``before``, the one after it as ``after``."""
    first, second = (ref.path for ref in story.released["rebuild"])
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{first}' AS before (READ_ONLY)")
        con.execute(f"ATTACH '{second}' AS after (READ_ONLY)")
        yield con


@pytest.fixture(scope="module")
def events(story: Story) -> list[Any]:
    """Every event in Dagster's own storage that carries metadata."""
    from dagster._serdes import deserialize_value

    address = f"file:{story.settings.dagster_home / 'event_log.db'}?mode=ro"
    log = sqlite3.connect(address, uri=True)
    kinds = "('ASSET_CHECK_EVALUATION', 'ASSET_MATERIALIZATION', 'ASSET_OBSERVATION')"
    rows = log.execute(
        f"SELECT event FROM event_logs WHERE dagster_event_type IN {kinds}"
    ).fetchall()
    log.close()
    return [deserialize_value(text).dagster_event for (text,) in rows]


def research_tables(con: duckdb.DuckDBPyConnection, catalog: str) -> list[str]:
    rows = con.execute(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = ?"
        " AND schema_name IN ('curated', 'cohort') ORDER BY 1",
        [catalog],
    ).fetchall()
    return [name for (name,) in rows]


def value(con: duckdb.DuckDBPyConnection, sql: str, *parameters: Any) -> Any:
    row = con.execute(sql, list(parameters)).fetchone()
    return row[0] if row else None


# --- deliveries ---------------------------------------------------------------------------------


def test_one_suppliers_bad_delivery_stops_nobody_else(story: Story) -> None:
    failed = [step for step, run in story.runs.items() if not getattr(run, "success", True)]
    assert failed == [story.refused]
    (reason,) = story.runs[story.refused].failures
    assert reason.startswith(f"{story.refused} is rejected: no file could be read")


def test_every_row_received_is_accepted_or_quarantined(
    story: Story, stores: duckdb.DuckDBPyConnection
) -> None:
    assert {row.delivery_id for row in story.ledger} == set(story.landed)
    for row in story.ledger:
        assert row.accepted + row.quarantined == row.received > 0, row.delivery_id
    tables = stores.execute(
        "SELECT received, accepted, quarantined FROM identifiable.ledger.delivery_table"
    ).fetchall()
    assert len(tables) > 50
    assert all(accepted + left == received for received, accepted, left in tables)


def test_faults_made_on_purpose_are_in_quarantine(story: Story) -> None:
    faults = pl.read_parquet(story.home / "truth" / "fault.parquet")
    faults = faults.join(
        pl.DataFrame(
            [(row.feed, row.supplier, row.period) for row in story.ledger],
            schema=["feed", "supplier", "period"],
            orient="row",
        ).unique(),
        on=["feed", "supplier", "period"],
        how="semi",
    )
    invented = sum(row.quarantined for row in story.ledger if row.supplier in
                   ("ashmere", "moorvale_icb"))  # fmt: skip
    assert 0 < invented <= faults.height


def test_what_was_sent_is_what_is_stored(
    story: Story, stores: duckdb.DuckDBPyConnection, contracts: dict[str, Contract]
) -> None:
    """The ledger's counts are the rows of raw tables, and of the pseudonymised ones."""
    counted = 0
    for row in story.ledger:
        if row.supplier == LEAVER:
            continue
        for table in contracts[row.feed].tables.values():
            accepted = value(
                stores,
                "SELECT coalesce(sum(accepted), 0) FROM identifiable.ledger.delivery_table"
                " WHERE delivery_id = ? AND table_name = ?",
                row.delivery_id,
                table.name,
            )
            for zone in ("identifiable.raw", "warehouse.pseudonymised"):
                held = value(
                    stores,
                    f"SELECT count(*) FROM {zone}.{table.table_name} WHERE delivery_id = ?",
                    row.delivery_id,
                )
                assert held == accepted, (zone, row.delivery_id, table.name)
            counted += accepted
    assert counted > 2_000


# --- assets and checks --------------------------------------------------------------------------


def test_every_asset_was_made_and_every_check_was_run(events: list[Any]) -> None:
    import dagster as dg

    from linked_cyp.definitions import defs
    from linked_cyp.defs.linkage_attack import ATTACK

    graph = defs().resolve_asset_graph()
    by_hand = dg.AssetKey(ATTACK)
    made = {e.asset_key for e in events if e.event_type_value == "ASSET_MATERIALIZATION"}
    assert set(graph.materializable_asset_keys) - made == {by_hand}
    checked = {
        e.event_specific_data.asset_check_key
        for e in events
        if e.event_type_value == "ASSET_CHECK_EVALUATION"
    }
    left = {key for key in graph.asset_check_keys - checked if key.asset_key != by_hand}
    assert {key.to_user_string() for key in left} == set()
    unchecked = {key.to_user_string() for key in graph.materializable_asset_keys} - {
        key.asset_key.to_user_string() for key in graph.asset_check_keys
    }
    of_no_table = {"deliveries/erasure", "deliveries/scorecards"}
    assert {key for key in unchecked if not key.startswith("staging/")} <= of_no_table


def test_checks_say_counts_and_nothing_else(events: list[Any]) -> None:
    said: Counter[str] = Counter()
    for event in events:
        data = event.event_specific_data
        match event.event_type_value:
            case "ASSET_MATERIALIZATION":
                metadata, allowed = data.materialization.metadata, SPOKEN_BY_ASSETS
            case "ASSET_OBSERVATION":
                metadata, allowed = data.asset_observation.metadata, SPOKEN_BY_DBT_TESTS
            case _:
                metadata, allowed = data.metadata, SPOKEN_BY_CHECKS
        for name, found in metadata.items():
            if not isinstance(found.value, bool | int | float) and found.value is not None:
                said[name] += name not in allowed
            if name == "broken":
                for record in found.records:
                    counts = dict(record.data)
                    assert re.fullmatch(r"[a-z0-9_]+", str(counts.pop("rule")))
                    assert counts.pop("severity") in ("error", "warn")
                    assert all(isinstance(count, int | float) for count in counts.values())
    assert +said == Counter()
    assert set(said) & SPOKEN_BY_ASSETS  # or nothing was looked at


def test_a_dbt_test_is_named_by_its_own_name_only(events: list[Any]) -> None:
    names = {
        data.metadata["unique_id"].value
        for data in (e.event_specific_data for e in events)
        if "unique_id" in (getattr(data, "metadata", None) or {})
    }
    assert len(names) > 50
    assert all(name.split(".")[:2] == ["test", "linked_cyp"] for name in names)


def test_what_failed_is_known_to_the_warehouse_as_well(
    stores: duckdb.DuckDBPyConnection, events: list[Any]
) -> None:
    """A release asks the warehouse, not Dagster: both hold the last refresh's verdicts."""
    last: dict[tuple[str, str], tuple[str, bool]] = {}
    for event in events:
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            data = event.event_specific_data
            zone = data.asset_key.path[0]
            if zone in ("linkage", "deliveries"):
                last["/".join(data.asset_key.path), data.check_name] = data.passed
    held = {
        (asset, name): passed
        for asset, name, passed in stores.execute(
            "SELECT asset, check_name, passed FROM warehouse.provenance.check_result"
            " WHERE starts_with(asset, 'linkage/') OR starts_with(asset, 'deliveries/')"
        ).fetchall()
    }
    assert len(last) > 20
    assert held == last


# --- linkage ------------------------------------------------------------------------------------


def test_records_of_one_child_are_found_and_no_others(
    story: Story, stores: duckdb.DuckDBPyConnection, contracts: dict[str, Contract]
) -> None:
    persons = stores.execute(
        "SELECT record_key, person_id AS person FROM warehouse.linkage.bridge"
    ).pl()
    truth = evaluate.truth_of_records(stores, contracts, story.stores.keys(), story.home / "truth")
    found = evaluate.pairwise(persons, truth)
    assert found.true > 100
    assert found.precision >= 0.99
    assert found.recall >= 0.8


def test_each_planted_child_is_one_person_in_every_feed(
    stores: duckdb.DuckDBPyConnection, story: Story
) -> None:
    rows = stores.execute(
        """SELECT b.person_id, count(DISTINCT b.feed)
           FROM warehouse.linkage.bridge b
           WHERE b.person_id IN (
               SELECT b.person_id FROM warehouse.linkage.bridge b
               JOIN warehouse.pseudonymised.pds_demographics__person p USING (record_key)
               JOIN warehouse.pseudonymised.delivery d USING (delivery_id)
               WHERE d.supplier = 'plantshire')
           GROUP BY 1"""
    ).fetchall()
    assert len(rows) == len(story.needles["nhs number"])
    apart = [feeds for _, feeds in rows if feeds < 4]
    assert apart == [1]  # the adopted child: every record that shares its number is kept out


# --- the release --------------------------------------------------------------------------------


def test_a_release_opens_read_only_and_says_what_everything_is(
    both: duckdb.DuckDBPyConnection,
) -> None:
    undescribed = both.execute(
        """SELECT schema_name, table_name, '' FROM duckdb_tables()
           WHERE database_name = 'after' AND coalesce(comment, '') = ''
           UNION ALL
           SELECT schema_name, table_name, column_name FROM duckdb_columns()
           WHERE database_name = 'after' AND coalesce(comment, '') = ''"""
    ).fetchall()
    assert undescribed == []
    explained = set(
        both.execute(
            "SELECT table_schema, table_name, column_name FROM after.main.dictionary"
            " WHERE coalesce(description, '') <> ''"
        ).fetchall()
    )
    columns = set(
        both.execute(
            "SELECT schema_name, table_name, column_name FROM duckdb_columns()"
            " WHERE database_name = 'after' AND schema_name IN ('curated', 'cohort')"
        ).fetchall()
    )
    assert explained == columns
    assert len(columns) > 100


def test_a_release_says_where_it_comes_from(both: duckdb.DuckDBPyConnection, story: Story) -> None:
    counted = {
        name: value(both, f"SELECT count(*) FROM after.{name}")
        for name in (
            "provenance.release",
            "provenance.contract",
            "provenance.delivery",
            "provenance.check_result",
            "provenance.column_lineage",
            "main.link_quality",
            "main.known_problem",
        )
    }
    assert counted["provenance.release"] == 1
    assert counted["provenance.contract"] == len(set(story.landed.values()))
    assert counted["provenance.delivery"] == len(story.landed)
    assert min(counted.values()) > 0
    hashed = value(both, "SELECT content_hash FROM after.provenance.release")
    assert content_hash_of(story.released["rebuild"][1].path) == hashed


def test_a_narrow_project_holds_its_cohort_and_period_under_ids_of_its_own(
    both: duckdb.DuckDBPyConnection, story: Story
) -> None:
    narrow = story.settings.releases / "children_in_care_health" / "current.duckdb"
    both.execute(f"ATTACH '{narrow}' AS narrow (READ_ONLY)")
    try:
        names = research_tables(both, "narrow")
        assert len(names) == 8
        looked_after = "FROM after.curated.looked_after_period_of_care WHERE NOT is_short_break"
        children = value(both, "SELECT count(*) FROM narrow.curated.child")
        assert children == value(both, f"SELECT count(DISTINCT person_id) {looked_after}") > 0
        for name in names:
            persons = f"SELECT person_id FROM narrow.{name}"
            assert value(both, f"{persons} EXCEPT FROM (SELECT person_id FROM narrow.curated.child)"
                         ) is None, name  # fmt: skip
            assert value(both, f"{persons} INTERSECT SELECT person_id FROM after.curated.child"
                         ) is None, name  # fmt: skip
        early, late = both.execute(
            "SELECT min(admission_date), max(admission_date) FROM narrow.curated.hospital_admission"
        ).fetchall()[0]
        assert early is None or (early.year >= 2023 and late <= dt.date(2025, 3, 31))
    finally:
        both.execute("DETACH narrow")


def test_every_research_table_joins_to_a_child(both: duckdb.DuckDBPyConnection) -> None:
    names = research_tables(both, "after")
    assert len(names) > 15
    empty = set()
    for name in sorted(set(names) - NO_CHILDREN):
        rows, lost = both.execute(
            f"""SELECT count(*), count(*) FILTER (person_id IS NULL OR person_id NOT IN
                (SELECT person_id FROM after.curated.child)) FROM after.{name}"""
        ).fetchall()[0]
        assert lost == 0, name
        empty |= {name} if rows == 0 else set()
    assert empty <= RARE


def test_both_cohorts_show_what_only_linkage_can(both: duckdb.DuckDBPyConnection) -> None:
    assert value(both, "SELECT count(*) FROM after.cohort.looked_after_hospital_admission") > 0
    groups = both.execute(
        "SELECT DISTINCT social_care_group FROM after.cohort.persistent_absence_cin_status"
    ).fetchall()
    assert len(groups) > 1


def test_running_again_publishes_nothing_new(story: Story) -> None:
    assert story.released["again"] == story.released["rebuild"]
    assert story.bridge["again"].equals(story.bridge["rebuild"])


def test_a_release_that_holds_what_was_withdrawn_is_not_gone_back_to(story: Story) -> None:
    first, second = story.released["rebuild"]
    assert story.roll_back_refused == (
        f"{first.release_id} holds deliveries that were withdrawn since: {story.newer}"
    )
    pointer = story.settings.releases / PROJECT / "current.duckdb"
    assert pointer.resolve() == second.path.resolve()


# --- versions and withdrawal --------------------------------------------------------------------


def test_a_superseded_delivery_is_kept_and_not_used(story: Story) -> None:
    status = {row.delivery_id: row.status for row in story.ledger}
    assert (status[story.newer], status[story.older]) == ("accepted", "superseded")
    newer, older = story.records[story.newer], story.records[story.older]
    assert older.height == newer.height + 1
    only_older = older.join(newer, on="record_key", how="anti")
    used = story.bridge["refresh"]
    assert used.join(only_older, on="record_key", how="semi").is_empty()
    assert used.join(newer, on="record_key", how="semi").height == newer.height


def test_withdrawing_the_newer_version_brings_the_older_one_back(story: Story) -> None:
    assert story.counts_again == story.older


def test_withdrawn_rows_are_nowhere(
    story: Story, stores: duckdb.DuckDBPyConnection, contracts: dict[str, Contract]
) -> None:
    gone = [story.newer, story.older]
    tables = stores.execute(
        "SELECT database_name || '.' || schema_name || '.' || table_name FROM duckdb_columns()"
        " WHERE column_name = 'delivery_id' AND database_name IN ('identifiable', 'warehouse')"
        " AND schema_name <> 'ledger' ORDER BY 1"
    ).fetchall()
    assert len(tables) > 60
    left = {
        name: rows
        for (name,) in tables
        if (
            rows := value(
                stores, f"SELECT count(*) FROM {name} WHERE list_contains(?, delivery_id)", gone
            )
        )
    }
    # That it existed and how many rows it had stays known; what was in it does not.
    assert left == {"warehouse.pseudonymised.delivery": 2}
    assert {
        status
        for (status,) in stores.execute(
            "SELECT status FROM warehouse.pseudonymised.delivery"
            " WHERE list_contains(?, delivery_id)",
            [gone],
        ).fetchall()
    } == {"withdrawn"}


def test_withdrawn_children_cannot_be_found_even_by_decoding(
    story: Story, stores: duckdb.DuckDBPyConnection
) -> None:
    own = {label: found for label, found in story.leavers.items() if label != "postcode"}
    assert scan_catalog(stores, "linkage", own) == []
    # the national service's own list still names them: nobody has withdrawn that
    found = scan_catalog(stores, "identifiable", own)
    listed = {"archive.file.content", "raw.national_data_opt_out__remaining.nhs_number"}
    assert {(hit.label, hit.place) for hit in found} == {("nhs number", place) for place in listed}
    kept = "SELECT count(*) FROM identifiable.archive.file WHERE delivery_id IN (?, ?)"
    assert value(stores, kept, story.newer, story.older) == 0
    keys = pl.concat(story.records.values())
    assert story.bridge["rebuild"].join(keys, on="record_key", how="semi").is_empty()


def test_a_withdrawal_changes_nobody_elses_id(story: Story) -> None:
    before, after = story.bridge["refresh"], story.bridge["rebuild"]
    gone = before.join(after, on="record_key", how="anti")
    assert sorted(gone["record_key"]) == sorted(story.records[story.newer]["record_key"])
    assert before.join(gone, on="record_key", how="anti").equals(after)


def test_a_release_after_a_withdrawal_differs_by_the_withdrawn_rows_only(
    both: duckdb.DuckDBPyConnection, story: Story
) -> None:
    """Also shows that dbt makes the same tables twice from the same rows."""
    removed = {}
    for name in research_tables(both, "before"):
        one, other = f"FROM before.{name}", f"FROM after.{name}"
        assert value(both, f"SELECT count(*) FROM ({other} EXCEPT ALL {one})") == 0, name
        gone = f"FROM ({one} EXCEPT ALL {other})"
        removed[name] = value(both, f"SELECT count(*) {gone}")
        if name not in NO_CHILDREN:
            stayed = "person_id IN (SELECT person_id FROM after.curated.child)"
            assert value(both, f"SELECT count(*) {gone} WHERE {stayed}") == 0, name
    assert removed["curated.child"] == story.records[story.newer].height
    assert not any(removed[name] for name in NO_CHILDREN)


def test_stores_are_written_anew_after_a_withdrawal(story: Story, events: list[Any]) -> None:
    rewritten = [
        e.event_specific_data.materialization.metadata["files rewritten"].value
        for e in events
        if e.event_type_value == "ASSET_MATERIALIZATION"
        and e.asset_key.path == ["deliveries", "erasure"]
    ]
    assert rewritten == [0, 3]
    assert not (story.settings.stores / ".erasure-owed").exists()


# --- what is left behind ------------------------------------------------------------------------


def test_nothing_is_left_in_work_folders(story: Story) -> None:
    assert story.left_in_work == []


def test_folders_and_stores_are_private(story: Story) -> None:
    settings = story.settings
    private = [settings.stores, settings.work, settings.dagster_home, settings.key_file.parent]
    assert {oct(path.stat().st_mode & 0o077) for path in private} == {"0o0"}
    files = [settings.key_file, *settings.stores.glob("*.duckdb")]
    assert len(files) == 4
    assert {oct(path.stat().st_mode & 0o177) for path in files} == {"0o0"}


def test_metadata_of_a_run_can_be_read_back(stores: duckdb.DuckDBPyConnection) -> None:
    metrics = stores.execute("SELECT metrics FROM warehouse.provenance.check_result").fetchall()
    for (text,) in metrics:
        assert all(isinstance(number, int | float) for number in json.loads(text).values())
