"""Identities planted in deliveries stay in the identifiable store, and can be found there.

Looked through is a whole installation after ingest, refresh, withdrawal and roll-back
(``linked_cyp_tests/whole_graph.py``): every store, every release, Dagster's storage, and whatever
was logged or printed, at any level.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.release import publish
from linked_cyp_tests.privacy.decode import scan, scan_catalog
from linked_cyp_tests.small_warehouse import change, make_warehouse
from linked_cyp_tests.whole_graph import LOG, Story

# What the suppliers sent, what the test itself knows, and the key.
NOT_OURS = {"landing", "truth", "keys"}


def test_they_are_found_in_the_identifiable_store(story: Story) -> None:
    with story.stores.connect(identifiable="ro") as con:
        hits = scan_catalog(con, "identifiable", story.needles)
    assert {hit.label for hit in hits} == set(story.needles)
    places = {hit.place.split(".")[0] for hit in hits}
    assert {"raw", "archive", "quarantine", "ledger"} <= places
    feeds = {hit.place.split(".")[1].split("__")[0] for hit in hits if hit.place[:4] == "raw."}
    assert feeds == set(story.landed.values())


def test_they_are_found_nowhere_else(story: Story) -> None:
    looked = [path for path in story.home.iterdir() if path.name not in NOT_OURS]
    assert {path.name for path in looked} == {
        *("stores", "releases", "reports", "dagster", "reference", "opt_outs.toml", LOG),
    }
    everyone = {label: [*found, *story.leavers[label]] for label, found in story.needles.items()}
    assert scan(looked, everyone, root=story.home) == []


def test_they_are_not_in_the_linkage_store_either(story: Story) -> None:
    """It is encrypted, so the search of files could not look inside."""
    with story.stores.connect(linkage="ro") as con:
        assert scan_catalog(con, "linkage", story.needles) == []


def test_there_was_something_to_look_through(story: Story) -> None:
    """Each place holds what the steps left there, so an empty one would be a search of nothing."""
    logged = (story.home / LOG).read_text(encoding="utf-8")
    assert logged.count("ASSET_MATERIALIZATION") > 100
    assert "RUN_SUCCESS" in logged
    assert (story.settings.dagster_home / "event_log.db").stat().st_size > 1_000_000
    published = [path.parent.name for path in story.settings.releases.glob("*/0*.duckdb")]
    assert sorted(published) == ["children_in_care_health"] * 2 + ["demo"] * 2


def test_the_warehouse_holds_the_planted_children_all_the_same(story: Story) -> None:
    with story.stores.connect(warehouse="ro") as con:
        children = con.execute(
            "SELECT count(DISTINCT record_key)"
            " FROM warehouse.pseudonymised.school_census__pupil_on_roll"
            " WHERE starts_with(delivery_id, 'plantshire.')"
        ).fetchone()
    assert children == (len(story.needles["upn"]),)


def test_an_error_about_a_planted_child_does_not_name_them(story: Story, tmp_path: Path) -> None:
    settings, keys = make_warehouse(tmp_path / "home")
    postcode = story.needles["postcode"][0]
    change(
        settings,
        f"""ALTER TABLE warehouse.curated.child ADD COLUMN note VARCHAR;
            COMMENT ON COLUMN warehouse.curated.child.note IS 'A note.';
            UPDATE warehouse.curated.child SET note = '{postcode}'""",
    )
    with pytest.raises(LinkedCypError, match="note holds a postcode") as refused:
        publish(settings, "alpha", keys=keys, contracts={})
    (tmp_path / "error.txt").write_text(repr(refused.value))
    assert scan([tmp_path / "error.txt"], story.needles) == []
