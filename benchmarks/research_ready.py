"""The curated build (dbt) and a release, at many children: time, peak memory, growth.

    python -m benchmarks.research_ready --home DATA --children 5000 50000 500000 --project demo
    python -m benchmarks.research_ready --table research.json --into docs/research_benchmarks.md

``DATA`` is the home of an ingested and linked installation (``linked-cyp demo`` makes one); it is
only read. Its children are copied under fresh tokens until there are so many
(:mod:`benchmarks.research_copies`), in a home of their own that is removed afterwards. Then, each
in a process of its own: ``dbt build`` as the platform runs it, with all its tests, and
``linked-cyp release`` with all that goes with one. Peak memory is the process's own, DuckDB's
spilled parts not in it. As yardstick for the machine, the time DuckDB takes to read every column of
every pseudonymised table.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

from benchmarks.pages import growth, put_into
from benchmarks.research_copies import copy_warehouse
from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import Settings
from linked_cyp.curated import manifest as dbt_manifest

Result = dict[str, Any]
MARKS = ("<!-- figures of benchmarks.research_ready -->", "<!-- end of figures -->")
STEPS = ("read", "curated", "release")
SLOWEST = 8
CARRIED = ("keys", "reference", "opt_outs.toml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, help="home of an ingested installation; only read")
    parser.add_argument("--children", type=int, nargs="+", default=[5_000, 50_000])
    parser.add_argument("--project", default="demo")
    parser.add_argument("--memory-limit", default="4GB", help="DuckDB's own limit in each step")
    parser.add_argument("--work", type=Path, help="where the copies are made; several GB")
    parser.add_argument("--keep", action="store_true", help="leave the copies where they are")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--out", type=Path, help="save the figures here (JSON)")
    parser.add_argument("--table", type=Path, help="print the tables of a saved run (Markdown)")
    parser.add_argument("--into", type=Path, help="put the tables into this page instead")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps(measured(*given.step)))
    elif given.table:
        figures = tables(json.loads(given.table.read_text(encoding="utf-8")))
        put_into(given.into, figures, MARKS) if given.into else print(figures)
    elif given.home is None:
        parser.error("--home is needed")
    else:
        compare(given)


def compare(given: argparse.Namespace) -> None:
    """Every size in turn; saved and shown as they finish."""
    dbt_manifest.ensure_manifest(Settings.from_environment())  # compiling is no part of it
    results: list[Result] = []
    for children in given.children:
        home = Path(tempfile.mkdtemp(prefix="research-", dir=given.work))
        try:
            results.append(one_size(given, home, children))
        finally:
            if not given.keep:
                shutil.rmtree(home)
        if given.out:
            given.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    Console().print(tables(results), highlight=False, markup=False)


def one_size(given: argparse.Namespace, home: Path, children: int) -> Result:
    small = given.home / "stores" / "warehouse.duckdb"
    with duckdb.connect(str(small), read_only=True) as con:
        held = con.execute("SELECT count(DISTINCT person_id) FROM linkage.bridge").fetchall()[0][0]
    copies = max(1, round(children / held))
    (home / "stores").mkdir(mode=0o700)
    for name in CARRIED:
        source = given.home / name
        if source.is_dir():
            shutil.copytree(source, home / name)
        elif source.exists():
            shutil.copy2(source, home / name)
    contracts = load_contracts(Settings.from_environment().contracts)
    rows = copy_warehouse(small, home / "stores" / "warehouse.duckdb", contracts, copies)
    result: Result = {"children": held * copies, "rows": sum(rows.values()), "steps": {}}
    Console(stderr=True).print(f"{result['children']:,} children, {result['rows']:,} rows")
    for step in given.only:
        found = in_own_process(step, given.project, home, given.memory_limit)
        result["steps"][step] = found
        Console(stderr=True).print(
            f"  {step}: {found['seconds']:.1f} s, {found['cpu']:.1f} s of processor,"
            f" {found['gigabytes']:.2f} GB"
        )
    return result


def in_own_process(step: str, project: str, home: Path, memory_limit: str) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.research_ready", "--step", step, project],
        env=os.environ
        | {"LINKED_CYP_HOME": str(home), "LINKED_CYP_MEMORY_LIMIT": memory_limit}
        | {"LINKED_CYP_KEY_FILE": str(home / "keys" / "master.key")},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{step} failed")
    found: Result = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(step: str, project: str) -> Result:
    """One step in this process; dbt is a process below it, whose memory is counted alone."""
    settings = Settings.from_environment()
    run = {"read": read, "curated": curated, "release": release}[step]
    begin = time.perf_counter()
    details = run(settings, project)
    seconds = time.perf_counter() - begin
    uses = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "seconds": seconds,
        "cpu": sum(use.ru_utime + use.ru_stime for use in uses),
        "gigabytes": max(use.ru_maxrss for use in uses) / 2**20,
        "file_gigabytes": settings.warehouse.stat().st_size / 2**30,
        **details,
    }


def read(settings: Settings, _: str) -> Result:
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        for (name,) in con.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'pseudonymised'"
        ).fetchall():
            con.execute(f'SELECT max(COLUMNS(*)) FROM pseudonymised."{name}"').fetchall()
    return {}


def curated(settings: Settings, _: str) -> Result:
    """``dbt build`` as :mod:`linked_cyp.defs.curated` starts it; seconds of each model and test."""
    target = settings.home / "target"
    dbt_manifest.seed_partial_parse(settings, target)
    command = [str(dbt_manifest.dbt_program()), "--quiet", "build"]
    folders = ["--project-dir", str(settings.dbt_project), "--profiles-dir"]
    folders += [str(settings.dbt_project), "--target-path", str(target)]
    done = subprocess.run(
        [*command, *folders],
        env=os.environ | dbt_manifest.dbt_environment(settings.warehouse, settings.home),
        stdout=sys.stderr,
        check=False,
    )
    results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
    if done.returncode:
        raise SystemExit("dbt build failed")
    return {"nodes": {r["unique_id"]: r["execution_time"] for r in results}}


def release(settings: Settings, project: str) -> Result:
    from linked_cyp.identity.keys import Keys
    from linked_cyp.release import publish

    made = publish(settings, project, keys=Keys.load(settings.key_file))
    return {"release_gigabytes": made.path.stat().st_size / 2**30}


def tables(results: list[Result]) -> str:
    """Markdown: each step at each size, how it grows, and the slowest models."""
    return "\n\n".join(part for part in (_steps(results), _growth(results), _slowest(results)))


def _steps(results: list[Result]) -> str:
    lines = [
        "| children | step | s | of reading | s of processor | peak GB | file GB |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        base = result["steps"].get("read", {}).get("seconds")
        for step, found in result["steps"].items():
            times = f"{found['seconds'] / base:.0f}" if base else ""
            size = found.get("release_gigabytes", found["file_gigabytes"])
            lines.append(
                f"| {result['children']:,} | {step} | {found['seconds']:.1f} | {times} |"
                f" {found['cpu']:.1f} | {found['gigabytes']:.2f} | {size:.2f} |"
            )
    return "\n".join(lines)


def _growth(results: list[Result]) -> str:
    """b in processor time ~ n^b, and the same for memory, from each size to the next.

    What starting up costs makes b small, so there is also what each child more costs.
    """
    lines = [
        "| step | from, to | time grows as n to the | memory | ms for each child more |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for step in STEPS:
        for small, large in pairwise(r for r in results if step in r["steps"]):
            powers = [
                growth(*((r["children"], r["steps"][step][unit]) for r in (small, large)))
                for unit in ("cpu", "gigabytes")
            ]
            sizes = f"{small['children']:,} to {large['children']:,}"
            more = large["children"] - small["children"]
            cost = (large["steps"][step]["cpu"] - small["steps"][step]["cpu"]) / more * 1000
            lines.append(f"| {step} | {sizes} | {' | '.join(powers)} | {cost:.2f} |")
    return "\n".join(lines)


def _slowest(results: list[Result]) -> str:
    """The models and tests that take longest at the largest size, and what they took before."""
    built = [r for r in results if "curated" in r["steps"]]
    if not built:
        return ""
    nodes = [r["steps"]["curated"]["nodes"] for r in built]
    slow = sorted(nodes[-1], key=lambda name: -nodes[-1][name])[:SLOWEST]
    lines = [
        "| slowest models and tests |" + "".join(f" {r['children']:,}: s |" for r in built),
        "| --- |" + " ---: |" * len(built),
    ]
    for name in slow:
        cells = "".join(f" {found.get(name, math.nan):.1f} |" for found in nodes)
        lines.append(f"| {name.split('.linked_cyp.')[1].split('.')[0]} |{cells}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
