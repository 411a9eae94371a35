"""What goes with a release: made from it, valid by its schemas, all there or none."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import pytest

from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.organisation import load_organisation
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import Settings
from linked_cyp.identity.keys import Keys
from linked_cyp.release import companions, current, publish, rollback
from linked_cyp.release.companions.hdruk import hdruk_metadata, invalid
from linked_cyp.research import open_release
from linked_cyp_tests.small_warehouse import CHILDREN, change, copy_of, make_warehouse

NOW = dt.datetime(2026, 1, 2)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("companions")
    settings, keys = make_warehouse(home)
    publish(settings, "beta", keys=keys, now=NOW)
    return home


@pytest.fixture
def made(template: Path, tmp_path: Path) -> tuple[Settings, Keys]:
    return copy_of(template, tmp_path)


@pytest.fixture
def folder(template: Path) -> Path:
    return template / "releases" / "beta" / "current"


def test_every_companion_stands_beside_the_current_release(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == set(companions.COMPANIONS)
    assert folder.resolve().name == folder.with_name("current.duckdb").resolve().stem


def test_the_metadata_is_valid_and_counts_are_rounded(folder: Path) -> None:
    document = json.loads((folder / "metadata.hdruk.json").read_text())
    assert invalid(document) == []
    assert document["summary"]["populationSize"] == CHILDREN
    tables = {t["name"]: t for t in document["structuralMetadata"]["tables"]}
    assert set(tables) == {"curated.child", "cohort.admission"}
    assert [c["name"] for c in tables["cohort.admission"]["columns"]] == [
        "person_id",
        "nights",
        "score",
    ]


def test_metadata_that_breaks_the_schema_is_refused(folder: Path, template: Path) -> None:
    organisation = load_organisation(template / "contracts")
    odd = type(organisation)(
        **{**organisation.__dict__, "access": {**organisation.access, "time_lag": "soon"}}
    )
    with (
        open_release(folder.with_name("current.duckdb")) as release,
        pytest.raises(LinkedCypError, match=r"provenance\.temporal\.timeLag \(enum\)"),
    ):
        hdruk_metadata(release, odd)


def test_lineage_is_in_openlineages_form(folder: Path) -> None:
    events = json.loads((folder / "lineage.openlineage.json").read_text())
    assert isinstance(events, list)
    for event in events:
        assert event["outputs"][0]["facets"]["columnLineage"]["fields"]


def test_they_follow_the_pointer(made: tuple[Settings, Keys]) -> None:
    settings, keys = made
    first = current(settings, "beta")
    assert first
    change(settings, "UPDATE warehouse.cohort.admission SET nights = nights + 1")
    second = publish(settings, "beta", keys=keys, now=NOW)
    link = second.path.with_name("current")
    assert link.resolve().name == second.release_id
    rollback(settings, "beta")
    assert link.resolve().name == first.release_id


def test_a_process_killed_before_they_were_made_makes_them_next_time(
    made: tuple[Settings, Keys],
) -> None:
    settings, keys = made
    reference = current(settings, "beta")
    assert reference
    shutil.rmtree(reference.path.with_suffix(""))
    again = publish(settings, "beta", keys=keys, now=NOW)
    assert not again.created
    assert set(companions.COMPANIONS) == {p.name for p in reference.path.with_suffix("").iterdir()}


@pytest.mark.parametrize("text", ["name: x", "[]"])
def test_an_organisation_that_says_too_little_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "organisation.yaml").write_text(text)
    with pytest.raises(LinkedCypError, match="missing or unknown: .*retention"):
        load_organisation(tmp_path)


def test_without_an_organisation_nothing_is_released(made: tuple[Settings, Keys]) -> None:
    settings, keys = made
    (settings.contracts / "organisation.yaml").unlink()
    contracts: dict[str, Contract] = {}
    with pytest.raises(LinkedCypError, match="who is responsible"):
        publish(settings, "alpha", keys=keys, contracts=contracts, now=NOW)
