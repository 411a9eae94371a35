"""A new delimited feed is one YAML file: added to a copy of the project, everything follows.

``toy/`` holds the contract and its code lists: children with forename, surname, birth date, sex and
ethnicity, and their visits. The copy runs in processes of its own, because assets are made from the
contracts when the code location loads.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from linked_cyp.core.settings import PROJECT_ROOT

TOY = Path(__file__).with_name("toy")
COPIED = ("linked_cyp", "linked_cyp_tests", "data_contracts", "dbt_project", "docs")
KINDS = ("schema", "seeds", "feeds", "dictionary", "graph")
# What of the project's own tests asks the contracts, and so a new feed.
HOUSE_TESTS = (
    "linked_cyp_tests/contracts",
    "linked_cyp_tests/unit/contracts",
    "linked_cyp_tests/unit/metadata/test_feed_table.py",
    "linked_cyp_tests/unit/release/test_public_pages.py::"
    "test_they_tell_of_every_feed_about_people_and_of_no_other",
)
FORENAMES = ("ADA", "BEN", "CHLOE", "DEV", "EVE", "FINN", "GITA", "HUGO", "IRIS", "JONAH")
SURNAMES = ("NEILL", "OKAFOR", "PATEL", "QUILL", "ROWAN", "SADIQ", "THORNE", "USMAN")
ADOPTED = 3
# Of 40 children the first authority's clinic knows 0 to 29, the second's 20 to 39.
CLINICS = {"toytown": range(30), "farville": range(20, 40)}
SHARED = range(20, 30)
VISITS = """\
Visit No;Patient No;Seen;Outcome;Remarks
V1;P0;14.03.2025;D;spoke to mother
V2;P1;15.03.2025;R;
V3;P2;31.02.2025;D;there is no such day
V4;P2;17.03.2025;W;an outcome that ended with 2024
""" + "".join(f"V{n};P{n % 20};18.03.2025;D;\n" for n in range(5, 41))
POSTCODES = "pcds,lsoa11,lsoa21,oslaua\nAB1 2CD,E01000001,E01000001,E06000001\n"
# What an operator does after `linked-cyp generate`, and what is there afterwards.
SCRIPT = """
import json, sys
from pathlib import Path
from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import Settings
from linked_cyp.curated import generated
from linked_cyp.identity.keys import Keys, create_master_key
from linked_cyp.ingest import landing
from linked_cyp.linkage import (
    build_person_records, predict, publish_bridge, resolve, train, update_registry)
from linked_cyp.opt_outs.policy import not_applied
from linked_cyp.pseudonymise import erasure
from linked_cyp.stores.door import Stores
from linked_cyp.supplier.validation import validate_path
from linked_cyp_tests.pipeline.world import dbt_build
from linked_cyp_tests.support import empty_warehouse

settings = Settings.from_environment()
contracts = load_contracts(settings.contracts)
report = validate_path(Path(sys.argv[1]), settings.contracts, feed="toy_clinic", year=2025)
create_master_key(settings.key_file)

from linked_cyp.defs.runs import Platform
platform = Platform(settings)
failed = []
for landed in landing.discover(settings.landing, contracts):
    run = platform.ingest(landed.feed, landed.delivery_id)
    assert run.success, run.failures
    failed += run.failed_checks

graph = platform.definitions.resolve_asset_graph()
keys = [k for k in graph.materializable_asset_keys if "toy_clinic" in k.path]
stores = Stores(settings)
erasure.sync(stores)  # the ledger in the warehouse says which rows count
def rows(con, sql):
    held = con.execute(sql)
    names = [column[0] for column in held.description]
    return [dict(zip(names, row)) for row in held.fetchall()]

with stores.connect(identifiable="rw", linkage="rw", warehouse="rw") as con:
    visits = rows(con, "FROM warehouse.pseudonymised.toy_clinic__visit ORDER BY row_number")
    patients = rows(con, "FROM warehouse.pseudonymised.toy_clinic__patient")
    rules = con.execute("SELECT rule FROM identifiable.quarantine.rejected").fetchall()
    comment = con.execute(
        "SELECT comment FROM duckdb_columns() WHERE table_name = 'toy_clinic__patient'"
        " AND database_name = 'warehouse' AND column_name = 'birth_month'").fetchall()
    build_person_records(con, contracts, Keys.load(settings.key_file),
                         opt_outs=not_applied("the children of this test are invented"))
    train(con)
    predict(con)
    resolve(con)
    update_registry(con)
    publish_bridge(con)
    excluded = con.execute("SELECT exclusion, count(*) FROM linkage.main.person_record"
                           " WHERE exclusion IS NOT NULL GROUP BY ALL").fetchall()
    bridge = con.execute(
        "SELECT count(*), count(DISTINCT person_id) FROM warehouse.linkage.bridge"
        " WHERE feed = 'toy_clinic'").fetchall()[0]
    empty_warehouse(con, contracts)
dbt_build(settings.dbt_project, stores.path("warehouse"), settings.home / "work" / "dbt",
          "--select", "+child", "--exclude-resource-type", "test")
with stores.connect(warehouse="ro") as con:
    children = rows(con, "SELECT sex, birth_month, ethnicity_code, ethnicity_source, source_count"
                         " FROM warehouse.curated.child")
job = platform.definitions.resolve_job_def("ingest_toy_clinic")
print(json.dumps({
    "failed checks": failed,
    "delivery": landed.delivery_id,
    "assets": {"/".join(k.path): graph.get(k).group_name for k in keys},
    "upstream": {"/".join(k.path): sorted("/".join(p.path) for p in graph.get(k).parent_keys)
                 for k in keys},
    "downstream": sorted({"/".join(c.path) for k in keys for c in graph.get(k).child_keys}),
    "checks": [graph.get(k).description for k in graph.asset_check_keys
               if "toy_clinic" in k.asset_key.path],
    "job": sorted("/".join(k.path) for k in job.asset_layer.selected_asset_keys),
    "visits": visits, "patients": patients, "rules": rules, "comment": comment,
    "excluded": excluded, "bridge": bridge, "children": children,
    "report": sorted({f.rule for f in report.findings}),
}, default=str))
"""


def patients(numbers: range) -> Iterator[str]:
    """Lines of a clinic's file; every clinic numbers its own patients from 0."""
    yield "Patient No;First Name;Last Name;Born;Sex;Background;Postcode;Adopted"
    for place, child in enumerate(numbers):
        name = f"{FORENAMES[child % 10]};{SURNAMES[child % 8]}"
        born = f"{child % 27 + 1:02d}.{child % 12 + 1:02d}.{2008 + child % 7}"
        codes = f"{child % 2 + 1};{'ABC'[child % 3]}"
        yield f"P{place};{name};{born};{codes};AB1 2CD;{'1' if child == ADOPTED else '0'}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with one more contract in it, and two deliveries that have landed."""
    project = tmp_path_factory.mktemp("toy") / "project"
    for name in COPIED:
        shutil.copytree(
            PROJECT_ROOT / name,
            project / name,
            ignore=shutil.ignore_patterns("__pycache__", "logs", "target"),
        )
    shutil.copy(PROJECT_ROOT / "pyproject.toml", project)
    shutil.copytree(TOY, project / "data_contracts", dirs_exist_ok=True)
    for supplier, numbers in CLINICS.items():
        folder = project / "data" / "landing" / supplier / "toy_clinic" / "2025-03"
        folder.mkdir(parents=True)
        (folder / "Patients.csv").write_text("\n".join([*patients(numbers), ""]))
        (folder / "Visits.csv").write_text(VISITS)
    (project / "data" / "reference").mkdir()
    (project / "data" / "reference" / "postcodes.csv").write_text(POSTCODES)
    return project


def run(project: Path, *arguments: str) -> str:
    """What a process in the copy prints."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LINKED_CYP", "DAGSTER"))}
    finished = subprocess.run(
        [sys.executable, *arguments],
        env={**kept, "PYTHONPATH": str(project), "DAGSTER_DISABLE_TELEMETRY": "yes"},
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-3000:]
    return finished.stdout


@pytest.fixture(scope="module")
def generated(project: Path) -> str:
    """The copy after ``linked-cyp generate``; definitions are of curated tables, which stay."""
    return run(project, "-m", "linked_cyp.cli.app", "generate", *KINDS)


@pytest.fixture(scope="module")
def found(project: Path, generated: str) -> dict[str, Any]:
    file = project / "data" / "landing" / "toytown" / "toy_clinic" / "2025-03" / "Visits.csv"
    return json.loads(run(project, "-c", SCRIPT, str(file)).splitlines()[-1])


def test_only_its_contract_and_code_lists_were_added(project: Path) -> None:
    added = {
        path.relative_to(project).as_posix()
        for path in (project / "data_contracts").rglob("*")
        if path.is_file() and not (PROJECT_ROOT / path.relative_to(project)).exists()
    }
    lists = ("toy_ethnicity", "toy_outcome", "toy_sex")
    assert added == {
        "data_contracts/toy_clinic.odcs.yaml",
        *(f"data_contracts/codesets/{name}.csv" for name in lists),
    }


def test_what_is_made_from_it_is_made_by_one_command(project: Path, generated: str) -> None:
    written = {line.removeprefix("written: ") for line in generated.splitlines()}
    assert written == {
        *(f"dbt_project/seeds/{name}.csv" for name in ("ethnicity", "sex", "source_feed")),
        "docs/dictionary/README.md",
        "docs/dictionary/health_secondary_uses.md",
        "docs/feeds.md",
        *(
            f"linked_cyp_tests/pipeline/snapshots/{name}.txt"
            for name in ("deliveries", "health_secondary_uses", "linkage", "runs", "staging")
        ),
    }
    run(project, "-m", "linked_cyp.cli.app", "generate", "--check", *KINDS)


def test_it_keeps_to_the_rules_of_the_house_and_the_public_page_names_it(
    project: Path, generated: str
) -> None:
    said = run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", *HOUSE_TESTS)
    assert "passed" in said
    assert "failed" not in said


def test_its_assets_are_in_the_graph(found: dict[str, Any]) -> None:
    group = "health/secondary_uses/toy_clinic"
    assert found["assets"] == {
        f"{zone}/toy_clinic/{table}": group
        for zone in ("raw", "pseudonymised")
        for table in ("patient", "visit")
    }
    assert found["upstream"]["pseudonymised/toy_clinic/visit"] == ["raw/toy_clinic/visit"]
    # it has identities, so linkage takes it as well, and it tells who a child is
    assert "linkage/person_record" in found["downstream"]
    assert "staging/stg_person_observation" in found["downstream"]


def test_its_checks_come_from_the_contract(found: dict[str, Any]) -> None:
    checks = "\n".join(found["checks"])
    for column in ("visit_id", "sex_code", "visit_date", "outcome_code", "birth_date"):
        assert column in checks, column


def test_it_has_an_ingest_job(found: dict[str, Any]) -> None:
    assert found["job"] == sorted(found["assets"])


def test_a_supplier_can_validate_a_file_of_it(found: dict[str, Any]) -> None:
    assert "date" in "\n".join(found["report"])
    assert len(found["report"]) >= 2


def test_a_delivery_of_it_is_in_the_warehouse(found: dict[str, Any]) -> None:
    assert [row["row_number"] for row in found["visits"]] == [
        n for n in range(1, 41) if n != 3 for _ in CLINICS
    ]
    assert len(found["rules"]) == 2
    first = found["visits"][0]
    assert first["visit_date"] == "2025-03-14"
    assert first["outcome_code"] == "D"
    assert isinstance(first["visit_id"], int)
    assert "remarks" not in first
    assert len(found["patients"]) == 50
    for row in found["patients"]:
        assert isinstance(row["record_key"], int)
        assert not {"forename", "surname", "postcode", "birth_date", "is_adopted"} & set(row)
        assert row["lsoa21_code"] == "E01000001"
    assert "NEILL" not in json.dumps(found["patients"])
    assert found["comment"][0][0]


def test_its_records_link_and_who_is_excluded_does_not(found: dict[str, Any]) -> None:
    assert found["bridge"] == [50, 40]
    assert found["excluded"] == [["adoption", 1]]


def test_its_sex_birth_month_and_ethnicity_count_in_the_curated_child(
    found: dict[str, Any],
) -> None:
    children = found["children"]
    assert len(children) == 40
    expected = sorted(
        (
            "MF"[child % 2],
            f"{2008 + child % 7}-{child % 12 + 1:02d}-01",
            ("WBRI", "ABAN", "BAFR")[child % 3],
            "toy_clinic",
        )
        for child in range(40)
    )
    names = ("sex", "birth_month", "ethnicity_code", "ethnicity_source")
    assert sorted(tuple(child[name] for name in names) for child in children) == expected


def test_dbt_knows_it_as_a_source(project: Path, found: dict[str, Any]) -> None:
    text = (project / "dbt_project/models/generated/sources.yml").read_text()
    (table,) = [
        table
        for source in yaml.safe_load(text)["sources"]
        for table in source["tables"]
        if table["name"] == "toy_clinic__visit"
    ]
    assert table["config"]["meta"]["dagster"]["asset_key"] == [
        "pseudonymised",
        "toy_clinic",
        "visit",
    ]
    assert {column["name"] for column in table["columns"]} == set(found["visits"][0])


def test_it_is_in_the_dictionary(project: Path, generated: str) -> None:
    page = project / "docs" / "dictionary" / "health_secondary_uses.md"
    text = page.read_text(encoding="utf-8")
    assert "## Toy clinic visits (`toy_clinic` 1.0.0)" in text
    assert "| `Born` | `birth_date` | date | coarsened to its month |" in text
