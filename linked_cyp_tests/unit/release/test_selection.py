"""Data minimisation: a release holds its cohort, in its period, and says what changed."""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path
from typing import Any

import pytest
import yaml

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.identity.keys import Keys
from linked_cyp.release import load_project, publish
from linked_cyp.release.selection import YEARS, When, condition_problem, when
from linked_cyp.stores.door import Stores
from linked_cyp_tests.small_warehouse import (
    CHILDREN,
    PROJECT,
    change,
    copy_of,
    declare,
    make_warehouse,
    rows,
)

NOW = dt.datetime(2026, 1, 2)
STAYS = """
CREATE TABLE warehouse.curated.stay AS
    SELECT person_id, DATE '2024-01-01' + INTERVAL (record_key) DAY AS start_date,
           CASE WHEN record_key % 10 = 9 THEN NULL
                ELSE DATE '2024-01-03' + INTERVAL (record_key) DAY END AS end_date,
           DATE '2023-12-01' + INTERVAL (record_key) MONTH AS stay_month,
           2024 + (record_key % 3) AS academic_year, 2023 + (record_key % 3) AS return_year
    FROM warehouse.curated.child;
ALTER TABLE warehouse.curated.stay ALTER start_date TYPE DATE;
ALTER TABLE warehouse.curated.stay ALTER end_date TYPE DATE;
ALTER TABLE warehouse.curated.stay ALTER stay_month TYPE DATE;
COMMENT ON COLUMN warehouse.curated.stay.stay_month IS 'A month. Source: this project.';
COMMENT ON COLUMN warehouse.curated.stay.return_year IS 'A return. Source: this project.';
COMMENT ON TABLE warehouse.curated.stay IS 'A stay. One row per stay.';
COMMENT ON COLUMN warehouse.curated.stay.person_id IS 'The linked child. Source: linkage.';
COMMENT ON COLUMN warehouse.curated.stay.start_date IS 'First day. Source: this project.';
COMMENT ON COLUMN warehouse.curated.stay.end_date IS 'Last day. Source: this project.';
COMMENT ON COLUMN warehouse.curated.stay.academic_year IS 'School year. Source: this project.';
"""


def model(name: str, period: object) -> dict[str, Any]:
    """A model as dbt's manifest has it."""
    zone, table = name.split(".")
    return {
        "resource_type": "model", "name": table, "schema": zone, "columns": {}, "description": "",
        "depends_on": {"nodes": []}, "database": "warehouse", "alias": table, "meta": {},
        "fqn": ["linked_cyp", zone, table], "unique_id": f"model.linked_cyp.{table}",
        "config": {"meta": {"period": period}},
    }  # fmt: skip


def manifest(**periods: object) -> dict[str, Any]:
    """What the models of the small warehouse say of time, unless it is said otherwise."""
    stated = {"stay": "start_date", "child": {"none": "Who they are."}, "admission": STAYS_OF_CHILD}
    zones = {"admission": "cohort"}
    models = [model(f"{zones.get(n, 'curated')}.{n}", p) for n, p in (stated | periods).items()]
    return {"nodes": {m["unique_id"]: m for m in models}}


STAYS_OF_CHILD = {"of": "curated.stay", "by": ["person_id"]}
WITH_STAYS = PROJECT.replace("tables:", "tables:\n  curated.stay: all", 1)
PERIOD = "period: {{from: 2024-01-10, to: 2024-01-12}}\n"
COHORT = "cohort: {{description: Girls, table: curated.child, where: \"sex_code = 'F'\"}}\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("selection")
    settings, _ = make_warehouse(home)
    change(settings, STAYS)
    return home


@pytest.fixture
def made(template: Path, tmp_path: Path) -> tuple[Settings, Keys]:
    return copy_of(template, tmp_path)


def released(made: tuple[Settings, Keys], declaration: str, **periods: object) -> Path:
    settings, keys = made
    declare(settings, "beta", declaration.format(name="beta"))
    stated = manifest(**periods)
    return publish(settings, "beta", keys=keys, manifest=stated, now=NOW).path


def test_only_the_cohort_is_in_any_table(made: tuple[Settings, Keys]) -> None:
    path = released(made, COHORT + WITH_STAYS)
    assert rows(path, "SELECT sex_code, count(*) FROM curated.child GROUP BY ALL") == [
        ("F", CHILDREN // 2)
    ]
    assert rows(path, "SELECT count(*) FROM curated.stay") == [(CHILDREN // 2,)]
    assert rows(
        path, "SELECT count(*) FROM cohort.admission ANTI JOIN curated.child USING (person_id)"
    ) == [(0,)]
    assert rows(path, "SELECT cohort, period_start FROM provenance.release") == [("Girls", None)]


@pytest.mark.parametrize(
    ("times", "condition"),
    [
        ("start_date", "start_date BETWEEN '2024-01-10' AND '2024-01-12'"),
        (
            ["start_date", "end_date"],
            "start_date <= '2024-01-12' AND coalesce(end_date, '2999-01-01') >= '2024-01-10'",
        ),
        ("academic_year", "academic_year = 2024"),
        ("return_year", "return_year = 2024"),
        ("stay_month", "stay_month = '2024-01-01'"),
        (
            ["start_date", "stay_month"],
            "start_date <= '2024-01-12' AND stay_month >= '2024-01-01'",
        ),
        ({"none": "Stays have no time."}, "true"),
    ],
)
def test_only_what_happened_in_the_period(
    made: tuple[Settings, Keys], times: object, condition: str
) -> None:
    count = f"SELECT count(*) FILTER ({condition}), count(*) FROM"
    with Stores(made[0]).connect(warehouse="ro") as con:
        everything = con.execute(f"{count} warehouse.curated.stay").fetchall()[0]
    path = released(made, PERIOD + WITH_STAYS, stay=times, admission={"none": "Not asked."})
    kept = rows(path, f"{count} curated.stay")[0]
    assert kept == (everything[0], everything[0])
    assert 0 < kept[0] <= everything[1]
    assert rows(path, "SELECT count(*) FROM curated.child") == [(CHILDREN,)]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("cohort: girls", "cohort has a description"),
        ("cohort: {{description: x, table: staging.y}}", "name its table as curated"),
        ("cohort: {{table: curated.child}}", "cohort has no description"),
        ('cohort: {{description: x, table: curated.child, where: "("}}', "not a condition"),
        (
            'cohort: {{description: x, table: curated.child, where: "person_id IN (FROM secret)"}}',
            "reads another table",
        ),
        ('cohort: {{description: x, table: curated.child, where: "f(a) = 1"}}', "calls a function"),
        ("period: 2024", "first day"),
        ("period: {{from: 2024-02-01, to: 2024-01-01}}", "first day"),
    ],
)
def test_a_selection_that_says_too_little_or_too_much_is_refused(
    made: tuple[Settings, Keys], entry: str, reason: str
) -> None:
    settings, _ = made
    declare(settings, "beta", (entry + "\n" + PROJECT).format(name="beta"))
    with pytest.raises(LinkedCypError, match=reason):
        load_project(settings.contracts / "projects", "beta")


@pytest.mark.parametrize("text", ["1 = 1 LIMIT 1", "1 = 1; DROP TABLE x", "read_text('/x') = ''"])
def test_a_condition_is_nothing_but_a_condition(text: str) -> None:
    assert condition_problem(text)


def test_a_cohort_that_is_not_there_is_refused(made: tuple[Settings, Keys]) -> None:
    for table, where, reason in (
        ("curated.nobody", "sex_code = 1", "is missing, or holds no persons"),
        ("curated.child", "shoe_size = 1", "names a column"),
    ):
        entry = f'cohort: {{{{description: x, table: {table}, where: "{where}"}}}}\n'
        with pytest.raises(LinkedCypError, match=reason):
            released(made, entry + PROJECT)


def test_what_belongs_to_a_row_follows_it_into_the_period(made: tuple[Settings, Keys]) -> None:
    path = released(made, PERIOD + WITH_STAYS, stay=["start_date", "end_date"])
    kept = rows(path, "SELECT count(*), count(DISTINCT person_id) FROM cohort.admission")[0]
    assert kept == rows(path, "SELECT count(*), count(DISTINCT person_id) FROM curated.stay")[0]
    assert 0 < kept[0] < CHILDREN - 15


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        (None, "curated.stay does not say when its rows happened"),
        ([], "curated.stay does not say when its rows happened"),
        ({"of": "curated.stay"}, "curated.stay does not say when its rows happened"),
        ({"of": "curated.x", "by": ["person_id"]}, "curated.stay does not say when"),
        ("day", "curated.stay has no column day"),
    ],
)
def test_no_period_is_cut_from_a_table_that_does_not_say_when(
    made: tuple[Settings, Keys], stated: object, reason: str
) -> None:
    with pytest.raises(LinkedCypError, match=f"release refused: {reason}"):
        released(made, PERIOD + WITH_STAYS, stay=stated)


def test_a_project_of_any_time_needs_no_dates(made: tuple[Settings, Keys]) -> None:
    assert released(made, WITH_STAYS, stay=None)


def test_when_a_tables_rows_happened_is_what_its_model_says() -> None:
    stated = manifest(stay=["a", "b"])
    assert when(stated, "curated.stay") == When(("a", "b"))
    assert when(stated, "cohort.admission") == When(("a", "b"), "curated.stay", ("person_id",))
    assert "person_id" in str(when(stated, "cohort.admission").problem(["a", "b"]))
    assert when(stated, "curated.child") == When(because="Who they are.")
    assert when(stated, "curated.other") == when(None, "curated.stay") == When()


@functools.cache
def _models() -> dict[str, Any]:
    """Every curated and cohort model, as its yml describes it."""
    return {
        f"{zone}.{described['name']}": described
        for zone in ("curated", "cohort")
        for path in sorted((PROJECT_ROOT / "dbt_project" / "models" / zone).glob("*.yml"))
        for described in yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
    }


@pytest.mark.parametrize("name", _models())
def test_every_table_that_can_be_released_says_when_its_rows_happened(name: str) -> None:
    models = _models()
    stated = {n: model(n, m["config"]["meta"].get("period")) for n, m in models.items()}
    times = when({"nodes": stated}, name)
    types = {c["name"]: c["data_type"] for c in models[name]["columns"]}
    assert times.problem(types) is None, name
    if times.because:
        assert len(times.because) > 20, f"{name} gives no reason"
        return
    if times.parent:
        assert not when({"nodes": stated}, times.parent).parent, "one step, not two"
        types = {c["name"]: c["data_type"] for c in models[times.parent]["columns"]}
    for column in times.columns:
        assert types[column] in ("date", "timestamp") or column in YEARS, f"{name}.{column}"


def test_a_first_release_changed_nothing(made: tuple[Settings, Keys]) -> None:
    assert rows(released(made, WITH_STAYS), "FROM provenance.change") == []


def test_a_handful_who_left_is_reported_without_a_number(made: tuple[Settings, Keys]) -> None:
    settings, keys = made
    released(made, WITH_STAYS)
    gone = "(SELECT person_id FROM warehouse.curated.child ORDER BY 1 LIMIT {})"
    change(settings, f"DELETE FROM warehouse.curated.stay WHERE person_id IN {gone.format(3)}")
    change(settings, f"DELETE FROM warehouse.curated.child WHERE person_id IN {gone.format(12)}")
    second = publish(settings, "beta", keys=keys, manifest=manifest(), now=NOW)
    assert second.small_differences == ("curated.stay",)
    found = rows(
        second.path,
        "SELECT table_name, unit, added, removed, is_small FROM provenance.change ORDER BY ALL",
    )
    assert ("stay", "persons", 0, None, True) in found
    assert ("child", "persons", 0, 10, False) in found
    assert ("child", "columns", 0, 0, False) in found
    assert ("admission", "rows", 0, 0, False) in found


def test_a_handful_beside_an_older_release_is_reported_too(made: tuple[Settings, Keys]) -> None:
    settings, keys = made
    first = publish(settings, "beta", keys=keys, now=NOW)
    change(
        settings,
        "CREATE TABLE warehouse.curated.kept AS FROM warehouse.curated.child;"
        "DELETE FROM warehouse.curated.child WHERE record_key >= 15",
    )
    second = publish(settings, "beta", keys=keys, now=NOW)
    assert (second.small_differences, second.small_beside) == ((), ())
    change(
        settings,
        "INSERT INTO warehouse.curated.child"
        " SELECT * FROM warehouse.curated.kept WHERE record_key BETWEEN 15 AND 37",
    )
    third = publish(settings, "beta", keys=keys, now=NOW)
    assert third.small_differences == ()
    assert third.small_beside == (first.release_id,)


def test_what_is_no_longer_released_is_said(made: tuple[Settings, Keys]) -> None:
    released(made, WITH_STAYS)
    path = released(made, PROJECT.replace("[person_id, nights, score]", "[person_id, nights]"))
    found = rows(path, "SELECT table_name, added, removed FROM provenance.change"
                       " WHERE unit = 'columns' ORDER BY ALL")  # fmt: skip
    assert found == [("admission", 0, 1), ("child", 0, 0), ("stay", 0, 6)]
