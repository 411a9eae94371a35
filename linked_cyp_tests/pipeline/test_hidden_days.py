"""No table can forget that days in the months of birth and death are hidden."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest

from linked_cyp.curated.manifest import dbt_environment, dbt_program
from linked_cyp_tests.pipeline.world import DBT

TEST = "dates_in_the_months_of_birth_and_death_are_coarse"
COMPILED = Path("target/compiled/linked_cyp/tests/invariants") / f"{TEST}.sql"


def dates(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, str]]:
    """Every date and time in the built tables: the database's own word, not the models'."""
    return con.execute(
        """SELECT schema_name, table_name, column_name FROM duckdb_columns()
           WHERE schema_name IN ('curated', 'cohort')
           AND (data_type = 'DATE' OR data_type LIKE 'TIME%') ORDER BY ALL"""
    ).fetchall()


def exact(target: Path) -> set[tuple[str, str]]:
    """Columns whose models say that they may be exact."""
    nodes = json.loads((target / "manifest.json").read_text(encoding="utf-8"))["nodes"].values()
    return {
        (node["name"], column["name"])
        for node in nodes
        if node["resource_type"] == "model"
        for column in node["columns"].values()
        if "exact" in column["config"]["meta"]
    }


def test_an_exact_day_in_the_month_of_birth_or_death_is_found_in_every_date_of_every_table(
    built: Path, tmp_path: Path
) -> None:
    shutil.copyfile(built / "warehouse.duckdb", tmp_path / "warehouse.duckdb")
    test = (built / COMPILED).read_text(encoding="utf-8")
    may_be_exact = exact(built / "target")
    tried = 0
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as con:
        assert con.execute(test).fetchall() == []
        for schema, table, column in dates(con):
            if (table, column) in may_be_exact:
                continue
            for month in ("birth_month", "death_month"):
                con.execute("BEGIN")
                child, row = con.execute(
                    f"SELECT person_id, t.rowid FROM {schema}.{table} AS t"
                    " INNER JOIN curated.child USING (person_id) LIMIT 1"
                ).fetchall()[0]
                con.execute(
                    f"UPDATE curated.child SET {month} = DATE '2031-05-01' WHERE person_id = ?",
                    [child],
                )
                con.execute(
                    f"UPDATE {schema}.{table} SET {column} = DATE '2031-05-17' WHERE rowid = ?",
                    [row],
                )
                assert (table,) in con.execute(test).fetchall(), (table, column, month)
                con.execute("ROLLBACK")
                tried += 1
    assert tried > 150


def test_what_may_be_exact_is_the_same_for_every_child(built: Path) -> None:
    assert exact(built / "target") == {
        ("avoidable_admission_year", "year_end"),
        ("persistent_absence_cin_status", "year_end"),
        ("social_care_status", "year_end"),
        *(("sen_episode", f"{which}_census_date") for which in ("first", "last", "next")),
    }


@pytest.mark.parametrize(
    ("column", "refusal"),
    [
        ("{name: visit_at, data_type: timestamp with time zone}", "name ['visit']"),
        (
            "{name: visit_date, data_type: date, config: {meta: {exact: true}}}",
            "visit.visit_date is exact: give the reason",
        ),
    ],
)
def test_a_new_table_cannot_escape(built: Path, tmp_path: Path, column: str, refusal: str) -> None:
    project = tmp_path / "project"
    shutil.copytree(DBT, project, ignore=shutil.ignore_patterns("target", "logs"))
    name = column.split(":")[1].split(",")[0].strip()
    (project / "models/curated/visit.sql").write_text(
        f"select person_id, birth_month as {name} from {{{{ ref('child') }}}}"
    )
    (project / "models/curated/visit.yml").write_text(
        "models:\n  - name: visit\n    columns:\n"
        f"      - {{name: person_id, data_type: bigint}}\n      - {column}\n"
    )
    target = tmp_path / "target"
    target.mkdir()
    shutil.copyfile(built / "target/partial_parse.msgpack", target / "partial_parse.msgpack")
    finished = subprocess.run(
        [
            *(dbt_program(), "--no-use-colors", "compile", "--select", TEST),
            *("--project-dir", project, "--profiles-dir", project, "--target-path", target),
        ],
        env={**os.environ, **dbt_environment(built / "warehouse.duckdb", tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode != 0
    assert refusal in finished.stdout
