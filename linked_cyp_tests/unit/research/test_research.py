"""The researcher's door: a release opens, says what it holds, and lets nothing else in or out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from linked_cyp import research
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.release import publish
from linked_cyp.release.definition import for_release
from linked_cyp.research.session import locked_session
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


@pytest.fixture(scope="module")
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
    assert str(variable).splitlines() == [
        "curated.child.sex_code (VARCHAR, 100.0% filled)",
        "Sex, F or M.",
        "Defined by: SSDA903 SEX",
    ]


def test_lineage_is_followed_back_step_by_step(release: research.Release) -> None:
    assert release.lineage("cohort.girl.birth_month").rows() == [
        (1, "curated.child.birth_month", "girl", "cohort.girl.birth_month")
    ]


def test_what_is_not_there_is_said_with_the_nearest_name(release: research.Release) -> None:
    with pytest.raises(LinkedCypError, match="no table curated.childs; did you mean curated.child"):
        release.variables("curated.childs")
    with pytest.raises(LinkedCypError, match="no variable sexcode; did you mean sex_code"):
        release.describe("curated.child.sexcode")
    with pytest.raises(LinkedCypError, match="no variable sexcode; did you mean sex_code"):
        release.lineage("curated.child.sexcode")
    with pytest.raises(LinkedCypError, match="no table admissions; did you mean cohort.admission"):
        release.reproduce("admissions")
    with pytest.raises(LinkedCypError, match="no table weather$"):
        release.definition("weather")
    with pytest.raises(
        LinkedCypError, match=r"curated.child is a table; variables\('curated.child"
    ):
        release.describe("curated.child")
    with pytest.raises(LinkedCypError, match="name the table too"):
        release.describe("sex_code")


def test_a_query_of_an_unknown_table_is_told_the_nearest(release: research.Release) -> None:
    with pytest.raises(duckdb.CatalogException) as failed:
        release.query("FROM admissions")
    assert failed.value.__notes__ == ["tables of this release named like it: cohort.admission"]


def test_variables_are_found_by_words(release: research.Release) -> None:
    assert release.find("month OF birth")["variable"].to_list() == [
        "cohort.girl.birth_month",
        "curated.child.birth_month",
    ]
    assert release.find("weather").is_empty()
    assert release.find(" ").is_empty()


def test_how_a_notebook_shows_it(release: research.Release) -> None:
    shown = release._repr_html_()
    assert "<strong>Admissions of looked-after children</strong>" in shown
    assert "<th>To be used until</th><td>2035-03-31</td>" in shown
    variable = release.describe("cohort.girl.birth_month")._repr_html_()
    assert "<strong>cohort.girl.birth_month (DATE, 100.0% filled)</strong>" in variable
    assert "<td>girl</td><td>curated.child.birth_month</td><td>cohort.girl.birth_month</td>" in (
        variable
    )


def test_counts_for_an_output_checker() -> None:
    counts = pl.DataFrame({"group": ["a", "b", "c"], "n": [0, 9, 13], "share": [0.0, 0.4, 0.6]})
    assert research.rounded_counts(counts, "n")["n"].to_list() == [0, None, 15]
    with pytest.raises(LinkedCypError, match="no column m"):
        research.rounded_counts(counts, "m")
    with pytest.raises(LinkedCypError, match="share holds no counts"):
        research.rounded_counts(counts, "share")


def test_data_past_its_expiry_says_so(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "old.duckdb"
    copy.write_bytes(path.read_bytes())
    with duckdb.connect(str(copy)) as con:
        con.execute("UPDATE provenance.release SET expiry = DATE '2026-01-31'")
    with pytest.warns(UserWarning, match="to be used until 31 January 2026 only"):
        research.open(copy).close()


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


OUT_OF_REACH = [
    "ATTACH '{folder}/other.db'",
    "ATTACH ':memory:' AS mine",
    "ATTACH 'https://example.org/other.db'",
    "COPY curated.child TO '{folder}/out.csv'",
    "COPY (FROM curated.child) TO '/dev/stdout'",
    "COPY (FROM curated.child) TO 's3://bucket/out.parquet'",
    "COPY curated.child FROM '{folder}/secret.csv'",
    "EXPORT DATABASE '{folder}/out'",
    "IMPORT DATABASE '{folder}/import'",
    "FROM read_csv('{folder}/secret.csv')",
    "FROM sniff_csv('{folder}/secret.csv')",
    "FROM '{folder}/secret.csv'",
    "FROM read_json('{folder}/secret.csv')",
    "FROM read_parquet('{folder}/secret.parquet')",
    "FROM parquet_metadata('{folder}/secret.parquet')",
    "FROM read_text('{folder}/secret.csv')",
    "FROM read_blob('{folder}/secret.csv')",
    "FROM read_duckdb('{folder}/other.db')",
    "FROM query_table('{folder}/secret.csv')",
    "FROM query('COPY curated.child TO ''{folder}/out.csv''')",
    "FROM sqlite_scan('{folder}/other.db', 'anything')",
    "FROM 'https://example.org/anything.csv'",
    "FROM read_csv('s3://bucket/anything.csv')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT getenv('PATH')",
    "EXPLAIN ANALYZE COPY curated.child TO '{folder}/out.csv'",
    "PREPARE stray AS FROM read_csv('{folder}/secret.csv')",
    "CREATE TEMP TABLE mine AS FROM read_csv('{folder}/secret.csv')",
    "INSTALL httpfs",
    "INSTALL spatial FROM community",
    "LOAD httpfs",
    "LOAD '{folder}/evil.duckdb_extension'",
    "UPDATE EXTENSIONS",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "SET lock_configuration = false",
    "RESET lock_configuration",
    "SET temp_directory = '{folder}'",
    "SET home_directory = '{folder}'",
    "SET secret_directory = '{folder}'",
    "SET extension_directory = '{folder}'",
    "SET allowed_directories = ['{folder}']",
    "SET allowed_paths = ['{folder}/secret.csv']",
    "SET disabled_filesystems = ''",
    "SET autoload_known_extensions = true",
    "SET python_enable_replacements = true",
    "SET log_query_path = '{folder}/log'",
    "SET memory_limit = '900GB'",
    "SET threads = 64",
    "SET http_proxy = 'example.org'",
    "PRAGMA enable_profiling = 'json'",
    "PRAGMA profile_output = '{folder}/profile.json'",
    "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'b')",
    "CREATE TABLE curated.mine AS SELECT 1",
    "CREATE VIEW curated.mine AS SELECT 1",
    "DELETE FROM curated.child",
    "UPDATE curated.child SET sex_code = 'F'",
    "INSERT INTO curated.child FROM curated.child",
    "ALTER TABLE curated.child RENAME TO mine",
    "DROP TABLE curated.child",
    "COMMENT ON TABLE curated.child IS 'mine'",
    "SELECT 1; COPY curated.child TO '{folder}/out.csv'",
    "FROM local_frame",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A researcher's folder, with files that a session could read if it could read any."""
    place = tmp_path_factory.mktemp("elsewhere")
    (place / "secret.csv").write_text('{"a": 1}\n{"a": 2}\n')
    pl.DataFrame({"a": [1]}).write_parquet(place / "secret.parquet")
    (place / "import").mkdir()
    for name in ("schema.sql", "load.sql"):
        (place / "import" / name).write_text("SELECT 1;")
    duckdb.connect(str(place / "other.db")).close()
    return place


@pytest.mark.parametrize("sql", OUT_OF_REACH)
def test_nothing_but_the_release_is_within_reach(
    release: research.Release, path: Path, folder: Path, sql: str
) -> None:
    """By DuckDB's own settings, whatever the door in front of them lets pass."""
    local_frame = pl.DataFrame({"one": [1]})
    assert local_frame.height == 1
    before = sorted(p.name for p in folder.iterdir())
    with locked_session(path) as session, pytest.raises(duckdb.Error):
        session.execute(sql.format(folder=folder)).fetchall()
    with pytest.raises((duckdb.Error, LinkedCypError)):
        release.query(sql.format(folder=folder))
    assert sorted(p.name for p in folder.iterdir()) == before


def test_an_open_session_could_read_those_files(folder: Path) -> None:
    """What is refused above would have worked: it is the lock that refuses it."""
    reading = [q for q in OUT_OF_REACH if q.startswith("FROM") and "{folder}/secret." in q]
    assert len(reading) > 5
    with duckdb.connect() as con:
        for sql in reading:
            assert con.execute(sql.format(folder=folder)).fetchall(), sql


@pytest.mark.parametrize(
    "sql",
    [
        "CALL enable_logging(storage = 'file')",  # would end the process in DuckDB 1.5.5
        "CALL enable_profiling(save_location = 'profile.json')",
        "PRAGMA user_agent; CALL truncate_duckdb_logs()",
        "BEGIN",
        "VACUUM",
        "SET search_path = 'cohort'",
        "ATTACH '{path}' AS again (READ_ONLY)",
    ],
)
def test_a_release_answers_queries_and_nothing_else(
    release: research.Release, path: Path, sql: str
) -> None:
    with pytest.raises(LinkedCypError, match="a release answers queries and nothing else, not"):
        release.query(sql.format(path=path))


def test_an_error_leaves_the_session_as_it_was(release: research.Release, folder: Path) -> None:
    for stray in (f"EXPORT DATABASE '{folder}/out'", "FROM nowhere", "SELECT", "SELECT 1 + 'x'"):
        with pytest.raises((duckdb.Error, LinkedCypError)):
            release.query(stray)
        assert release.query("SELECT 1 AS one").item() == 1


def test_work_in_progress_stays_in_memory(release: research.Release) -> None:
    release.query("CREATE TEMP TABLE girl AS FROM curated.child WHERE sex_code = 'F'")
    assert release.query("SELECT count(*) FROM girl").item() == CHILDREN / 2
    assert release.query("PIVOT curated.child ON sex_code USING count(*)").height == CHILDREN
    assert release.query("SUMMARIZE curated.child").height == 4
    release.query("DROP TABLE girl")


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
    sql, read = for_release(
        'WITH c AS (SELECT * FROM "warehouse"."curated"."child") SELECT * FROM c JOIN'
        ' "warehouse"."cohort"."girl" AS g USING (person_id)',
        {},
    )
    assert "warehouse" not in sql
    assert "cohort.girl AS g" in sql
    assert read == ["cohort.girl", "curated.child"]


def test_what_says_only_which_deliveries_there_were_is_written_out() -> None:
    queries = {
        "staging.stg_delivery": 'SELECT feed FROM "warehouse"."pseudonymised"."delivery"',
        "staging.stg_year": 'SELECT DISTINCT feed FROM "warehouse"."staging"."stg_delivery"',
        "staging.stg_spell": 'SELECT feed FROM "warehouse"."pseudonymised"."spell"',
    }
    asked = (
        'SELECT y.feed, stg_delivery.feed FROM "warehouse"."staging"."stg_year" AS y'
        ' JOIN "warehouse"."staging"."stg_delivery" USING (feed)'
    )
    sql, read = for_release(asked, queries)
    assert read == ["provenance.delivery"]
    with duckdb.connect() as con:
        con.execute("CREATE SCHEMA provenance")
        con.execute("CREATE TABLE provenance.delivery AS SELECT 'sus_apc' AS feed")
        assert con.execute(sql).fetchall() == [("sus_apc", "sus_apc")]
    _, read = for_release('FROM "warehouse"."staging"."stg_spell"', queries)
    assert read == ["staging.stg_spell"]
