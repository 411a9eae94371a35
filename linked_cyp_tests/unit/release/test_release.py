"""Publishing a project's release: what is in it, what is not, what is refused, and roll back."""

from __future__ import annotations

import datetime as dt
import re
import stat
from pathlib import Path

import duckdb
import pytest
import yaml

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.identity.keys import Keys
from linked_cyp.release import content_hash_of, current, load_project, publish, releases, rollback
from linked_cyp.release.build import ID_PATTERN
from linked_cyp.release.companions import COMPANIONS
from linked_cyp.release.project import KNOWN, projects
from linked_cyp.release.selection import YEARS
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


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse from which project beta has had one release, and alpha none."""
    home = tmp_path_factory.mktemp("template")
    settings, keys = make_warehouse(home)
    publish(settings, "beta", keys=keys, model_fingerprint="m1", now=NOW)
    return home


@pytest.fixture
def beta(template: Path) -> Path:
    """Beta's release, to be read only."""
    return template / "releases" / "beta" / "current.duckdb"


@pytest.fixture
def made(template: Path, tmp_path: Path) -> tuple[Settings, Keys]:
    return copy_of(template, tmp_path)


def test_a_release_holds_what_the_project_names_and_nothing_else(beta: Path) -> None:
    tables = {
        f"{s}.{t}" for s, t in rows(beta, "SELECT schema_name, table_name FROM duckdb_tables()")
    }
    assert tables == {
        "curated.child",
        "cohort.admission",
        "main.dictionary",
        "main.code",
        "main.link_quality",
        "main.known_problem",
        "provenance.release",
        "provenance.contract",
        "provenance.delivery",
        "provenance.check_result",
        "provenance.column_lineage",
        "provenance.definition",
        "provenance.change",
        "provenance.opt_out",
        "provenance.left_out",
    }
    columns = [row[0] for row in rows(beta, "DESCRIBE curated.child")]
    assert columns == ["person_id", "sex_code", "birth_month", "lsoa21_code"]  # no record_key
    assert rows(beta, "SELECT count(*) FROM curated.child") == [(CHILDREN,)]


def test_tables_of_a_release_join_on_ids_that_are_not_the_warehouses(
    made: tuple[Settings, Keys],
) -> None:
    settings, keys = made
    path = publish(settings, "alpha", keys=keys).path
    ids = [row[0] for row in rows(path, "SELECT person_id FROM curated.child")]
    assert len(set(ids)) == CHILDREN
    assert all(re.fullmatch(ID_PATTERN, person) for person in ids)
    joined = rows(
        path, "SELECT count(*) FROM cohort.admission JOIN curated.child USING (person_id)"
    )
    assert joined == [(CHILDREN - 15,)]
    with Stores(settings).connect(warehouse="ro") as con:
        con.execute(f"ATTACH '{path}' AS r (READ_ONLY)")
        kept = con.execute(
            """SELECT count(*) FROM (
                 SELECT lsoa21_code, sex_code, birth_month FROM r.curated.child EXCEPT
                 SELECT lsoa21_code, sex_code, birth_month FROM warehouse.curated.child)"""
        ).fetchone()
    assert kept == (0,)


def test_every_table_and_column_says_what_it_is(beta: Path) -> None:
    silent = rows(beta, "SELECT * FROM duckdb_columns() WHERE NOT internal AND comment IS NULL")
    assert silent == []
    assert rows(beta, "SELECT * FROM duckdb_tables() WHERE comment IS NULL") == []
    entry = rows(
        beta,
        "SELECT data_type, description, definition_source FROM dictionary"
        " WHERE table_name = 'child' AND column_name = 'birth_month'",
    )
    assert entry == [("DATE", "Month of birth. Source: SSDA903 DOB.", "SSDA903 DOB")]


def test_a_release_tells_where_it_comes_from_without_small_numbers(beta: Path) -> None:
    deliveries = rows(
        beta, "SELECT supplier, status, rows_received, rows_quarantined FROM provenance.delivery"
    )
    assert deliveries == [("brent", "rejected", None, None), ("brent", "accepted", 45, None)]
    told = rows(
        beta,
        "SELECT project, model_fingerprint, published_at, code_version LIKE '0.%+____________'"
        " FROM provenance.release",
    )
    assert told == [("beta", "m1", NOW, True)]
    metrics = dict(rows(beta, "SELECT check_name, metrics FROM provenance.check_result"))
    assert metrics["person_id__unique"] == '{"failing": 0, "rows": 45}'
    assert metrics["upn__valid"] == '{"failing": null}'
    reach = rows(beta, "SELECT feed, category, persons, share_in_another_feed FROM link_quality")
    assert reach == [
        ("ssda903", "all", 40, 0.62),
        ("ssda903", "identifier", 35, 0.57),
        ("ssda903", "probable", None, None),
        ("sus_apc", "all", 25, 1.0),
        ("sus_apc", "identifier", 25, 1.0),
    ]
    assert rows(beta, "FROM known_problem WHERE origin = 'declared'") == [
        ("release", "Everything is made up.", "declared")
    ]


def test_problems_found_in_making_a_release_are_told(made: tuple[Settings, Keys]) -> None:
    settings, keys = made
    change(settings, FOUND)
    settings.opt_outs.write_text(DECIDED, encoding="utf-8")
    path = publish(settings, "alpha", keys=keys, now=NOW).path
    found = rows(path, "SELECT concerns, problem FROM known_problem WHERE origin = 'found'")
    assert found == [
        ("release", "The national_data_opt_out was not applied: It is all invented, a test."),
        (
            "release",
            "An older list of the type1_opt_out was allowed, of 2025-01-01: The practices were"
            " asked.",
        ),
        (
            "release",
            "Records without an NHS number are left out, as nobody can be asked about the"
            " type1_opt_out: under 10. Services that know it less often lose more.",
        ),
        ("ssda903", "The delivery of brent for 2023 was refused: nothing of it is here."),
        (
            "ssda903",
            "Some rows break the Department for Education's validation rules for this return;"
            " provenance.check_result names the rules and deliveries.",
        ),
        (
            "ssda903",
            "The check upn__valid fails in some rows (a warning): header (1 of 1 deliveries).",
        ),
        ("curated.child", "Columns without a value in any row: lsoa21_code."),
        ("cohort.admission", "It has no rows."),
    ]


DECIDED = """
[national_data_opt_out]
applied = false
because = "It is all invented, a test."
[type1_opt_out]
max_age_days = 400
because = "The practices were asked."
"""
FOUND = """
    INSERT INTO warehouse.linkage.opt_out VALUES
        ('national_data_opt_out', false, 'It is all invented, a test.', 'x', NULL, 21, 0, 0),
        ('type1_opt_out', true, 'The practices were asked.', 'x', DATE '2025-01-01', 400, 9, 7),
        ('local_objection', true, NULL, 'x', DATE '2026-01-01', 45, 3, 0);
    INSERT INTO warehouse.provenance.check_result VALUES
        ('raw/ssda903/oc2', 'brent.2024.aaa', 'rule_903_191', 'warn', false, '{}', 'r1',
         TIMESTAMP '2026-01-01'),
        ('raw/ssda903/oc2', 'brent.2024.aaa', 'sdq_score__range', 'warn', false, '{}', 'r1',
         TIMESTAMP '2026-01-01'),
        ('raw/ssda903/oc2', 'brent.2024.aaa', 'sdq_score__range', 'warn', true, '{}', 'r2',
         TIMESTAMP '2026-01-02'),
        ('linkage/report', NULL, 'rates__steady', 'warn', false, '{}', 'r1',
         TIMESTAMP '2026-01-01');
    UPDATE warehouse.curated.child SET lsoa21_code = NULL;
    DELETE FROM warehouse.cohort.admission;
    INSERT INTO warehouse.pseudonymised.delivery VALUES
        ('brent.2024.ccc', 'brent', 'ssda903', '2024', 2024, 'withdrawn', 4, 4, 0);
"""


def test_the_file_is_read_only_and_alone(made: tuple[Settings, Keys]) -> None:
    settings, keys = made
    ref = publish(settings, "alpha", keys=keys)
    assert stat.S_IMODE(ref.path.stat().st_mode) == 0o440
    assert sorted(p.name for p in ref.path.parent.iterdir()) == [
        ".lock",
        ref.release_id,
        f"{ref.release_id}.duckdb",
        "current",
        "current.duckdb",
    ]
    assert (ref.path.parent / "current.duckdb").resolve() == ref.path.resolve()


def test_the_hash_depends_on_content_and_not_on_order_or_threads(
    made: tuple[Settings, Keys], tmp_path: Path
) -> None:
    settings, keys = made
    first = publish(settings, "alpha", keys=keys)
    change(
        settings,
        """CREATE TABLE warehouse.curated.shuffled AS
             SELECT * FROM warehouse.curated.child ORDER BY hash(person_id);
           DELETE FROM warehouse.curated.child;
           INSERT INTO warehouse.curated.child SELECT * FROM warehouse.curated.shuffled;
           UPDATE warehouse.cohort.admission SET score = score + 1e-15""",
    )
    again = publish(settings, "alpha", keys=keys)
    assert (again.release_id, again.created) == (first.release_id, False)
    assert content_hash_of(first.path) == first.content_hash
    change(settings, "UPDATE warehouse.curated.child SET sex_code = 'U' WHERE record_key = 3")
    second = publish(settings, "alpha", keys=keys)
    assert second.created
    assert second.sequence == 2
    assert second.content_hash != first.content_hash


def test_a_changed_file_no_longer_has_its_hash(made: tuple[Settings, Keys], tmp_path: Path) -> None:
    settings, keys = made
    ref = publish(settings, "alpha", keys=keys)
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(ref.path.read_bytes())
    with duckdb.connect(str(copy)) as con:
        con.execute("UPDATE cohort.admission SET nights = nights + 1 WHERE nights = 4")
    assert content_hash_of(copy) != content_hash_of(ref.path)


def test_roll_back_moves_the_pointer_and_keeps_it_there(made: tuple[Settings, Keys]) -> None:
    settings, keys = made
    first = publish(settings, "alpha", keys=keys)
    change(settings, "UPDATE warehouse.curated.child SET sex_code = 'U' WHERE record_key = 3")
    second = publish(settings, "alpha", keys=keys)
    with duckdb.connect(str(second.path.parent / "current.duckdb"), read_only=True) as reader:
        back = rollback(settings, "alpha")
        assert reader.execute("SELECT release_id FROM provenance.release").fetchall() == [
            (second.release_id,)
        ]
    assert back.release_id == first.release_id
    assert current(settings, "alpha") == back
    again = publish(settings, "alpha", keys=keys)  # tonight's run has the same content
    assert (again.release_id, again.is_current) == (second.release_id, False)
    assert current(settings, "alpha") == back
    forward = rollback(settings, "alpha", second.release_id)
    assert current(settings, "alpha") == forward
    change(settings, "UPDATE warehouse.curated.child SET sex_code = 'M' WHERE record_key = 3")
    third = publish(settings, "alpha", keys=keys)  # content of the first, but newer than the second
    assert third.is_current
    assert [ref.sequence for ref in releases(settings, "alpha")] == [1, 2, 3]


@pytest.mark.parametrize("release_id", [None, "0009-abcdefabcdef"])
def test_roll_back_needs_somewhere_to_go(
    made: tuple[Settings, Keys], release_id: str | None
) -> None:
    settings, keys = made
    with pytest.raises(LinkedCypError, match="has no releases"):
        rollback(settings, "alpha", release_id)
    before = publish(settings, "alpha", keys=keys)
    with pytest.raises(LinkedCypError, match="no release"):
        rollback(settings, "alpha", release_id)
    now = current(settings, "alpha")
    assert now is not None
    assert now.release_id == before.release_id


FAILED_CHECK = """
INSERT INTO warehouse.provenance.check_result VALUES ('curated/child', NULL, 'person_id__unique',
    'ERROR', false, '{}', 'r2', TIMESTAMP '2026-01-02')
"""
REFUSALS = {
    "check failed: curated/child: person_id__unique": FAILED_CHECK,
    "no check has been recorded": "DELETE FROM warehouse.provenance.check_result",
    "no delivery has been accepted": "DELETE FROM warehouse.pseudonymised.delivery",
    "curated.child.sex_code has no description": (
        "COMMENT ON COLUMN warehouse.curated.child.sex_code IS NULL"
    ),
    "curated.child has no description": "COMMENT ON TABLE warehouse.curated.child IS NULL",
    "there is no table cohort.admission": "DROP TABLE warehouse.cohort.admission",
    "cohort.admission has no column nights": (
        "ALTER TABLE warehouse.cohort.admission RENAME nights TO days"
    ),
    "numbers as large as tokens": (
        "UPDATE warehouse.cohort.admission SET nights = 4611686018427387904 WHERE nights = 1"
    ),
    "curated.child.sex_code holds a postcode": (
        "UPDATE warehouse.curated.child SET sex_code = 'nw10 2ab' WHERE record_key = 1"
    ),
    "curated.child.sex_code holds a UPN": (
        "UPDATE warehouse.curated.child SET sex_code = 'B801200005001' WHERE record_key = 1"
    ),
    "curated.child.sex_code holds a hash": (
        "UPDATE warehouse.curated.child SET sex_code = md5(sex_code) WHERE record_key = 1"
    ),
    **{
        f"curated.child.sex_code holds {what}": (
            f"UPDATE warehouse.curated.child SET sex_code = '{text}' WHERE record_key = 1"
        )
        for what, text in {
            "a number of ten digits": "943 476 5919",
            "a long number": "9434765919",
            "a telephone number": "Ring 07700 900123.",
            "an e-mail address": "m.begum@example.org",
            "a date": "born 04/05/2010",
            "a name": "Aaliyah",
        }.items()
    },
    "sex_code holds a long number": (  # a unique learner number in a sentence
        "UPDATE warehouse.curated.child SET sex_code = 'ULN 9000000035' WHERE record_key = 1"
    ),
    "cohort.admission.nights holds NHS numbers": (
        "UPDATE warehouse.cohort.admission SET nights = 9434765919 WHERE nights = 1"
    ),
    "cannot be checked: BLOB": (
        "ALTER TABLE warehouse.cohort.admission ALTER nights TYPE BLOB USING 'a'::BLOB;"
        "COMMENT ON COLUMN warehouse.cohort.admission.nights IS 'Nights.'"
    ),
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_refusal_names_its_reason_and_changes_nothing(
    made: tuple[Settings, Keys], reason: str
) -> None:
    settings, keys = made
    before = releases(settings, "beta")
    change(settings, REFUSALS[reason])
    with pytest.raises(LinkedCypError, match=re.escape(reason)) as refused:
        publish(settings, "beta", keys=keys)
    assert str(refused.value).startswith("release refused: ")
    assert releases(settings, "beta") == before
    assert not list((settings.releases / "beta").glob(".building-*"))


def test_a_refusal_names_every_gate_that_is_shut(made: tuple[Settings, Keys]) -> None:
    settings, keys = made
    gates = {
        "check failed: curated/child: person_id__unique": FAILED_CHECK,
        "deliveries accepted that are not linked: 1 (brent.2024.aaa): refresh": (
            "UPDATE warehouse.linkage.delivery SET delivery_id = 'gone'"
        ),
        "deliveries linked that no longer count: 1 (gone): refresh": "SELECT 1",
        "the bridge does not say which opt-outs were applied: link again": (
            "DROP TABLE warehouse.linkage.opt_out"
        ),
    }
    for sql in gates.values():
        change(settings, sql)
    with pytest.raises(LinkedCypError) as refused:
        publish(settings, "beta", keys=keys)
    reasons = str(refused.value).removeprefix("release refused: ")
    for reason in gates:
        assert reason in reasons
        reasons = reasons.replace(reason, "")
    assert set(reasons) <= set("; "), "it says nothing else"


def test_failed_checks_count_only_if_they_are_about_this_build(
    made: tuple[Settings, Keys],
) -> None:
    settings, keys = made
    # The small warehouse has a failed warning, and a failed error on a rejected delivery.
    assert publish(settings, "alpha", keys=keys).created
    change(settings, "UPDATE warehouse.pseudonymised.delivery SET status = 'accepted'")
    with pytest.raises(LinkedCypError, match="raw/ssda903/header: child_id__required"):
        publish(settings, "alpha", keys=keys)


DECLARATIONS = {
    "has no legal basis": ("legal_basis: Synthetic data only.", "legal_basis: ''"),
    "has no approver": ("approver: Data access committee", "approver:"),
    "expired on 31 March 2025": ("2035-03-31", "2025-03-31"),
    "expiry must be a date": ("2035-03-31", "never"),
    "unknown entry table": ("known_problems:", "table: x\nknown_problems:"),
    "purpose is missing": ("purpose: Test the release.", ""),
    "is not gamma": ("project: gamma", "project: alpha"),
    "named curated.<table> or cohort.<table>": ("curated.child", "pseudonymised.delivery"),
    "name the columns, or say all": ("curated.child: all", "curated.child: everything"),
    "a column is named twice": ("[person_id, nights", "[person_id, person_id, nights"),
    "record_key is the warehouse's own": ("curated.child: all", "curated.child: [record_key]"),
    "is not valid YAML": ("project:", "project: ["),
}


@pytest.mark.parametrize("reason", DECLARATIONS)
def test_an_incomplete_declaration_is_refused(made: tuple[Settings, Keys], reason: str) -> None:
    settings, keys = made
    old, new = DECLARATIONS[reason]
    declare(settings, "gamma", PROJECT.replace("{name}", "gamma").replace(old, new))
    with pytest.raises(LinkedCypError, match=re.escape(reason)):
        publish(settings, "gamma", keys=keys, now=NOW)
    assert releases(settings, "gamma") == []


@pytest.mark.parametrize("name", ["nobody", "../alpha", "Alpha", ""])
def test_only_declared_projects_are_released(made: tuple[Settings, Keys], name: str) -> None:
    settings, keys = made
    with pytest.raises(LinkedCypError, match="no project nobody|is written in lower case"):
        publish(settings, name, keys=keys)


SETTINGS = Settings.from_environment()
FOLDER = SETTINGS.contracts / "projects"


def described() -> dict[str, set[str]]:
    """Columns of each curated and cohort table, as the models describe them."""
    return {
        f"{zone}.{model['name']}": {column["name"] for column in model["columns"]}
        for zone in ("curated", "cohort")
        for path in sorted((SETTINGS.dbt_project / "models" / zone).glob("*.yml"))
        for model in yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
    }


def test_the_guide_names_what_a_release_carries_and_what_a_project_may_say(beta: Path) -> None:
    guide = (PROJECT_ROOT / "docs" / "releases.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+\.[a-z_.]+)`", guide))
    carried = {
        f"{schema}.{table}"
        for schema, table in rows(beta, "SELECT schema_name, table_name FROM duckdb_tables()")
        if schema not in ("curated", "cohort")
    }
    assert carried <= named, "a table of the release is not in the guide"
    assert {n for n in named if n.split(".")[0] in ("main", "provenance")} - carried <= {
        "provenance.release.content_hash"
    }
    assert set(COMPANIONS) <= named
    assert all(f"`{entry}`" in guide for entry in KNOWN)
    assert all(f"`{year}`" in guide for year in YEARS)


@pytest.mark.parametrize("name", projects(FOLDER))
def test_a_declared_project_names_tables_and_columns_that_exist(name: str) -> None:
    known, project = described(), load_project(FOLDER, name)
    assert not project.refusals(NOW.date())
    for table, columns in project.tables.items():
        assert table in known
        assert set(columns or ()) <= known[table], table


def test_the_demonstration_shows_every_table() -> None:
    assert set(load_project(FOLDER, "demo").tables) == set(described())


def test_the_narrow_project_names_its_cohort_its_period_and_each_column() -> None:
    project = load_project(FOLDER, "children_in_care_health")
    assert project.cohort
    assert project.period
    assert all(project.tables.values())
    assert len(project.tables) < len(described()) / 4
