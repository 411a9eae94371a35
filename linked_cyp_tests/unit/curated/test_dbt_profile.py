"""dbt's DuckDB keeps to the memory and the places that it is given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import duckdb
import jinja2
import yaml

from linked_cyp.core.settings import MEMORY_LIMIT, PROJECT_ROOT
from linked_cyp.curated.manifest import dbt_environment


def output(environment: dict[str, str]) -> dict[str, dict[str, str]]:
    def env_var(name: str, default: str) -> str:
        return environment.get(name, default)

    text = (PROJECT_ROOT / "dbt_project" / "profiles.yml").read_text(encoding="utf-8")
    profile = jinja2.Template(text).render(env_var=env_var)
    return yaml.safe_load(profile)["linked_cyp"]["outputs"]["warehouse"]


def test_dbt_spills_into_the_work_folder(tmp_path: Path) -> None:
    given = dbt_environment(tmp_path / "warehouse.duckdb", tmp_path / "work")
    macro = (PROJECT_ROOT / "dbt_project" / "macros" / "spill.sql").read_text(encoding="utf-8")
    said = jinja2.Template(macro + "{{ spill() }}").render(
        env_var=lambda name, default: given.get(name, default),
        execute=True,
        flags=SimpleNamespace(WHICH="build"),
    )
    with duckdb.connect() as con:
        con.execute(said)
        (place,) = con.execute("SELECT current_setting('temp_directory')").fetchone() or ("",)
    assert place == str(tmp_path / "work" / "spill")
    project = (PROJECT_ROOT / "dbt_project" / "dbt_project.yml").read_text(encoding="utf-8")
    assert "{{ spill() }}" in yaml.safe_load(project)["on-run-start"]


def test_runs_of_one_installation_differ_in_nothing_that_dbt_parses_anew_for(
    tmp_path: Path,
) -> None:
    first, second = (
        output(dbt_environment(tmp_path / "warehouse.duckdb", tmp_path / work))
        for work in ("one", "two")
    )
    assert first == second
    assert first["path"] == str(tmp_path / "warehouse.duckdb")


def test_dbt_has_the_memory_limit_of_every_other_step() -> None:
    assert output({})["config_options"]["memory_limit"] == MEMORY_LIMIT
    assert output({"LINKED_CYP_MEMORY_LIMIT": ""})["config_options"]["memory_limit"] == MEMORY_LIMIT
    given = output({"LINKED_CYP_MEMORY_LIMIT": "2GB"})
    assert given["config_options"]["memory_limit"] == "2GB"
