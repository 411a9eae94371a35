"""The researcher's door: a release opens, says what it holds, and lets nothing else in or out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from linked_cyp import research
from linked_cyp.errors import LinkedCypError
from linked_cyp.release import publish
from linked_cyp.release.record import without_catalog
from linked_cyp_tests.small_warehouse import CHILDREN, PROJECT, change, declare, make_warehouse

COHORTS = """
CREATE TABLE warehouse.cohort.girl AS
    SELECT person_id, birth_month FROM warehouse.curated.child WHERE sex_code = 'F';
COMMENT ON TABLE warehouse.cohort.girl IS 'A girl. One row per girl.';
COMMENT ON COLUMN warehouse.cohort.girl.person_id IS 'The linked child. Source: linkage.';
COMMENT ON COLUMN warehouse.cohort.girl.birth_month IS 'Month of birth. Source: SSDA903 DOB.';
"""
DECLARATION = PROJECT.replace("tables:", "tables:\n  cohort.girl: all", 1)


def model(schema: str, name: str, sql: str) -> dict[str, Any]:
    return {
        "resource_type": "model", "name": name, "schema": schema, "columns": {}, "description": "",
        "compiled_code": sql, "depends_on": {"nodes": []}, "database": "warehouse", "alias": name,
        "fqn": ["linked_cyp", schema, name], "config": {"meta": {}}, "meta": {},
        "unique_id": f"model.linked_cyp.{name}",
    }  # fmt: skip


GIRLS = """SELECT person_id, birth_month FROM "warehouse"."curated"."child" WHERE sex_code = 'F'"""
MANIFEST = {
    "nodes": {
        "model.linked_cyp.girl": model("cohort", "girl", GIRLS),
        "model.linked_cyp.admission": model(
            "cohort",
            "admission",
            'SELECT a.person_id FROM "warehouse"."staging"."stg_spell" AS a'
            ' JOIN "warehouse"."curated"."child" USING (person_id)',
        ),
    },
    "sources": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings, keys = make_warehouse(tmp_path_factory.mktemp("research"))
    change(settings, COHORTS)
    declare(settings, "beta", DECLARATION.replace("alpha", "beta"))
    made = publish(settings, "beta", keys=keys, manifest=MANIFEST, now=dt.datetime(2026, 1, 2))
    return made.path


@pytest.fixture
def release(path: Path) -> Iterator[research.Release]:
    with research.open(path) as opened:
        yield opened


def test_tables_and_their_rows(release: research.Release) -> None:
    found = {row["table"]: row for row in release.tables().to_dicts()}
    assert set(found) == {"curated.child", "cohort.admission", "cohort.girl"}
    assert found["curated.child"]["rows"] == CHILDREN
    assert found["curated.child"]["description"].startswith("A child.")


def test_a_query_joins_tables_of_the_release(release: research.Release) -> None:
    frame = release.query(
        "SELECT count(*) AS n FROM cohort.girl JOIN curated.child USING (person_id)"
        " WHERE girl.birth_month >= ?",
        [dt.date(2010, 1, 1)],
    )
    assert frame.item() == CHILDREN / 2


def test_a_variable_says_what_it_means_and_who_says_so(release: research.Release) -> None:
    variable = release.describe("curated.child.sex_code")
    assert release.describe("child.sex_code").name == variable.name
    assert (variable.type, variable.rows, variable.completeness) == ("VARCHAR", CHILDREN, 1.0)
    assert "F or M" in variable.description
    assert variable.definition_source == "SSDA903 SEX"
    assert "Defined by: SSDA903 SEX" in str(variable)


def test_what_is_not_there_is_said_with_the_nearest_name(release: research.Release) -> None:
    with pytest.raises(LinkedCypError, match="no table curated.childs; did you mean curated.child"):
        release.variables("curated.childs")
    with pytest.raises(LinkedCypError, match="no variable sexcode; did you mean sex_code"):
        release.describe("curated.child.sexcode")


def test_a_cohort_is_made_again_from_its_definition(release: research.Release) -> None:
    assert "FROM curated.child" in release.definition("cohort.girl")
    made = release.reproduce("cohort.girl")
    assert made.height == CHILDREN / 2
    assert set(made["person_id"]) == set(release.query("FROM cohort.girl")["person_id"])


def test_a_cohort_made_from_more_than_is_released_says_so(release: research.Release) -> None:
    with pytest.raises(LinkedCypError, match=r"it reads staging\.stg_spell"):
        release.reproduce("cohort.admission")


def test_a_table_that_does_not_follow_from_its_definition_is_found_out(
    path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "changed.duckdb"
    copy.write_bytes(path.read_bytes())
    with duckdb.connect(str(copy)) as con:
        con.execute("DELETE FROM cohort.girl WHERE rowid = 0")
    with research.open(copy) as changed, pytest.raises(LinkedCypError, match="differs"):
        changed.reproduce("cohort.girl")


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH '{folder}/other.db'",
        "COPY curated.child TO '{folder}/out.csv'",
        "EXPORT DATABASE '{folder}/out'",
        "FROM read_csv('{folder}/secret.csv')",
        "FROM '{folder}/secret.csv'",
        "FROM read_text('{folder}/secret.csv')",
        "SELECT * FROM glob('{folder}/*')",
        "INSTALL httpfs",
        "LOAD '{folder}/evil.duckdb_extension'",
        "SET enable_external_access = true",
        "SET temp_directory = '{folder}'",
        "SET lock_configuration = false",
        "CREATE TABLE curated.mine AS SELECT 1",
        "DELETE FROM curated.child",
        "FROM local_frame",
    ],
)
def test_nothing_but_the_release_is_within_reach(
    release: research.Release, tmp_path: Path, sql: str
) -> None:
    local_frame = release.query("SELECT 1 AS one")
    assert local_frame.height == 1
    (tmp_path / "secret.csv").write_text("a\n1\n")
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(duckdb.Error):
        release.query(sql.format(folder=tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_how_it_is_cited(release: research.Release) -> None:
    about = release.about
    text = release.cite()
    assert about["content_hash"] in text
    assert about["release_id"] in text
    assert "02 January 2026" in text


def test_what_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LinkedCypError, match="there is no release at"):
        research.open(tmp_path / "nowhere.duckdb")
    (tmp_path / "text.duckdb").write_text("not a database, and long enough to be read as one" * 99)
    with pytest.raises(LinkedCypError, match="is not a release"):
        research.open(tmp_path / "text.duckdb")
    duckdb.connect(str(tmp_path / "other.duckdb")).close()
    with pytest.raises(LinkedCypError, match="no release of linked_cyp"):
        research.open(tmp_path / "other.duckdb")


def test_a_definition_is_over_the_releases_own_names() -> None:
    sql, read = without_catalog(
        'WITH c AS (SELECT * FROM "warehouse"."curated"."child") SELECT * FROM c JOIN'
        ' "warehouse"."cohort"."girl" USING (person_id)'
    )
    assert "warehouse" not in sql
    assert read == ["cohort.girl", "curated.child"]
