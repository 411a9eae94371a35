"""A new delimited feed is one YAML file: added to a copy of the project, everything follows.

``toy/`` holds the contract and its one code list. The copy runs in a process of its own, because
assets are made from the contracts when the code location loads.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from linked_cyp.core.settings import PROJECT_ROOT

TOY = Path(__file__).with_name("toy")
COPIED = ("linked_cyp", "data_contracts", "dbt_project")
VISITS = """\
Visit No;NHS No;Born;Postcode;Seen;Outcome;Remarks
V1;9990000018;03.02.2015;AB1 2CD;14.03.2025;D;spoke to mother
V2;9990000026;11.12.2012;AB1 2CE;15.03.2025;R;
V3;9990000034;30.06.2018;;2025-03-16;D;a date in another format
V4;9990000042;;AB1 2CD;17.03.2025;W;an outcome that ended with 2024
"""
POSTCODES = "pcds,lsoa11,lsoa21,oslaua\nAB1 2CD,E01000001,E01000001,E06000001\n"
# What an operator does, in the order of docs/add_a_feed.md, and what is there afterwards.
SCRIPT = """
import json, sys
from pathlib import Path
from linked_cyp.curated import sources as dbt_sources
from linked_cyp.ingest import landing
from linked_cyp.metadata import dictionary
from linked_cyp.contracts.model import load_contracts
from linked_cyp.identity.keys import create_master_key
from linked_cyp.core.settings import Settings
from linked_cyp.stores.door import Stores
from linked_cyp.supplier.validation import validate_path

settings = Settings.from_environment()
contracts = load_contracts(settings.contracts)
report = validate_path(Path(sys.argv[1]), settings.contracts, feed="toy_clinic", year=2025)
assert dbt_sources.main(["--check"]) == 1, "the sources of the new feed are missing"
assert dbt_sources.main([]) == 0
create_master_key(settings.key_file)

from linked_cyp.defs.runs import Platform
platform = Platform(settings)
(landed,) = landing.discover(settings.landing, contracts)
run = platform.ingest(landed.feed, landed.delivery_id)
assert run.success, run.failures
assert dictionary.main([]) == 0

graph = platform.definitions.resolve_asset_graph()
keys = [k for k in graph.materializable_asset_keys if "toy_clinic" in k.path]
with Stores(settings).connect(identifiable="ro", warehouse="ro") as con:
    held = con.execute("FROM warehouse.pseudonymised.toy_clinic__visit ORDER BY row_number")
    columns = [column[0] for column in held.description]
    rows = [dict(zip(columns, row)) for row in held.fetchall()]
    rules = con.execute("SELECT rule FROM identifiable.quarantine.rejected").fetchall()
    comment = con.execute(
        "SELECT comment FROM duckdb_columns() WHERE table_name = 'toy_clinic__visit'"
        " AND database_name = 'warehouse' AND column_name = 'birth_month'").fetchall()
job = platform.definitions.resolve_job_def("ingest_toy_clinic")
print(json.dumps({
    "failed checks": run.failed_checks,
    "delivery": landed.delivery_id,
    "assets": {"/".join(k.path): graph.get(k).group_name for k in keys},
    "upstream": {"/".join(k.path): sorted("/".join(p.path) for p in graph.get(k).parent_keys)
                 for k in keys},
    "downstream": sorted({"/".join(c.path) for k in keys for c in graph.get(k).child_keys}),
    "checks": [graph.get(k).description for k in graph.asset_check_keys
               if "toy_clinic" in k.asset_key.path],
    "job": sorted("/".join(k.path) for k in job.asset_layer.selected_asset_keys),
    "rows": rows, "rules": rules, "comment": comment,
    "report": sorted({f.rule for f in report.findings}),
}, default=str))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with one more contract in it, and a delivery that has landed."""
    project = tmp_path_factory.mktemp("toy") / "project"
    for name in COPIED:
        shutil.copytree(
            PROJECT_ROOT / name,
            project / name,
            ignore=shutil.ignore_patterns("__pycache__", "logs", "target"),
        )
    shutil.copy(PROJECT_ROOT / "pyproject.toml", project)
    (project / "docs").mkdir()
    shutil.copytree(TOY, project / "data_contracts", dirs_exist_ok=True)
    folder = project / "data" / "landing" / "toytown" / "toy_clinic" / "2025-03"
    folder.mkdir(parents=True)
    (folder / "march.txt").write_text(VISITS)
    (project / "data" / "reference").mkdir()
    (project / "data" / "reference" / "postcodes.csv").write_text(POSTCODES)
    return project


@pytest.fixture(scope="module")
def found(project: Path) -> dict[str, Any]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LINKED_CYP", "DAGSTER"))}
    file = next(project.glob("data/landing/*/*/*/*"))
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(file)],
        env={**kept, "PYTHONPATH": str(project), "DAGSTER_DISABLE_TELEMETRY": "yes"},
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


def test_no_code_was_added(project: Path) -> None:
    added = {
        path.relative_to(project).as_posix()
        for path in (project / "data_contracts").rglob("*")
        if path.is_file() and not (PROJECT_ROOT / path.relative_to(project)).exists()
    }
    assert added == {"data_contracts/toy_clinic.odcs.yaml",
                     "data_contracts/codesets/toy_outcome.csv"}  # fmt: skip


def test_its_assets_are_in_the_graph(found: dict[str, Any]) -> None:
    assert found["assets"] == {
        "raw/toy_clinic/visit": "health/secondary_uses/toy_clinic",
        "pseudonymised/toy_clinic/visit": "health/secondary_uses/toy_clinic",
    }
    assert found["upstream"]["pseudonymised/toy_clinic/visit"] == ["raw/toy_clinic/visit"]
    # it has identities, so linkage takes it as well
    assert found["downstream"] == [
        "deliveries/ledger",
        "linkage/person_record",
        "pseudonymised/toy_clinic/visit",
    ]


def test_its_checks_come_from_the_contract(found: dict[str, Any]) -> None:
    checks = "\n".join(found["checks"])
    for column in ("visit_id", "nhs_number", "visit_date", "outcome_code", "birth_date"):
        assert column in checks, column


def test_it_has_an_ingest_job(found: dict[str, Any]) -> None:
    assert found["job"] == ["pseudonymised/toy_clinic/visit", "raw/toy_clinic/visit"]


def test_a_supplier_can_validate_a_file_of_it(found: dict[str, Any]) -> None:
    text = "\n".join(found["report"])
    assert "visit_date" in text or "date" in text
    assert len(found["report"]) >= 2


def test_a_delivery_of_it_is_in_the_warehouse(found: dict[str, Any]) -> None:
    assert [row["row_number"] for row in found["rows"]] == [1, 2, 4]
    assert len(found["rules"]) == 1
    first = found["rows"][0]
    assert first["delivery_id"] == found["delivery"]
    assert first["birth_month"] == "2015-02-01"
    assert first["visit_date"] == "2025-03-14"
    assert first["outcome_code"] == "D"
    assert first["lsoa21_code"] == "E01000001"
    assert isinstance(first["visit_id"], int)
    assert isinstance(first["record_key"], int)
    assert not {"nhs_number", "postcode", "birth_date", "remarks"} & set(first)
    assert "9990000018" not in json.dumps(found["rows"])
    assert found["comment"][0][0]


def test_dbt_knows_it_as_a_source(project: Path, found: dict[str, Any]) -> None:
    document = yaml.safe_load((project / "dbt_project/models/sources.yml").read_text())
    (table,) = [
        table
        for source in document["sources"]
        for table in source["tables"]
        if table["name"] == "toy_clinic__visit"
    ]
    assert table["config"]["meta"]["dagster"]["asset_key"] == [
        "pseudonymised",
        "toy_clinic",
        "visit",
    ]
    assert {column["name"] for column in table["columns"]} == set(found["rows"][0])


def test_it_is_in_the_dictionary(project: Path, found: dict[str, Any]) -> None:
    text = (project / "docs" / "dictionary.md").read_text(encoding="utf-8")
    assert "## Toy clinic visits (`toy_clinic` 1.0.0)" in text
    assert "| `Born` | `birth_date` | date | coarsened to its month | Date of birth. |" in text
