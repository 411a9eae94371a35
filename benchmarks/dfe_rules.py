"""Validation of a full SSDA903 return against the public validator, on the same files.

    python -m benchmarks.dfe_rules --public-python /path/to/venv/bin/python

The public validator is ``csc-validator-be-903`` from PyPI. It pins old versions of pandas and
NumPy, so it has an environment of its own and is no dependency of ours:

    python3.11 -m venv public && public/bin/pip install csc-validator-be-903==0.1.17

It is a black box here: it gets the files, and tells which rows fail which rule, each rule on a
private copy of the tables. The return is the
synthetic one of a few thousand children, copied under new child numbers until it has the size of a
large authority's; one cell in a hundred holds another row's value. Each side reads and judges in a
process of its own: wall and processor time after imports. Without ``--public-python`` the yardstick
is polars reading the same files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table as Grid

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.synthetic import synthesise

YEAR = 2025
OURS = """
import json, resource, sys, time
from pathlib import Path
import pandas, pyarrow.compute  # which DuckDB imports at its first parameter
import linked_cyp.identity.macros
from linked_cyp.supplier.validation import validate_path
folder, contracts, year = sys.argv[1:]
wall, busy = time.perf_counter(), time.process_time()
report = validate_path(Path(folder), Path(contracts), feed="ssda903", year=int(year))
wall, busy = time.perf_counter() - wall, time.process_time() - busy
flags = {}
for f in report.failures:
    rows = flags.setdefault(f.code.lower(), [])
    rows += [(f.table.lower(), n - 1) for n in f.row_numbers]
print(json.dumps({"wall": wall, "cpu": busy, "ran": report.rules_run, "flags": flags,
    "not run": [code.lower() for code in report.rules_waiting],
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""
PUBLIC = """
import copy, importlib, json, logging, resource, sys, time
from pathlib import Path
logging.disable(logging.CRITICAL)
from lac_validator.lac_validator import LacValidator
folder, authority, year = sys.argv[1:]
rules = importlib.import_module(f"lac_validator.rules.lac{int(year) - 1}_{int(year) % 100}")
wall, busy = time.perf_counter(), time.process_time()
files = [{"name": p.name, "file_content": p.read_bytes(), "description": "This year"}
         for p in sorted(Path(folder).glob("*.csv"))]
about = {"collectionYear": year, "localAuthority": authority}
done = LacValidator(metadata=about, files=files, registry=rules.registry)
wall, busy = time.perf_counter() - wall, time.process_time() - busy
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
# Its rules change tables that later rules read: what they say is asked of each on a private copy.
read = LacValidator(metadata=dict(about), files=files, registry={})
flags, broken = {}, []
for code, rule in rules.registry.items():
    try:
        found = rule.func(copy.deepcopy({**read.dfs, "metadata": read.metadata}))
    except Exception:
        broken.append(code)
        continue
    for table, rows in (found or {}).items():
        flags.setdefault(str(code).lower(), []).extend([table.lower(), int(n)] for n in set(rows))
print(json.dumps({"wall": wall, "cpu": busy, "ran": len(done.dones), "flags": flags,
    "not run": [str(code).lower() for code in {*done.skips, *broken}], "peak": peak}))
"""
POLARS = """
import json, resource, sys, time
from pathlib import Path
import polars
wall, busy = time.perf_counter(), time.process_time()
for file in Path(sys.argv[1]).glob("*.csv"):
    polars.read_csv(file, infer_schema=False)
wall, busy = time.perf_counter() - wall, time.process_time() - busy
print(json.dumps({"wall": wall, "cpu": busy, "ran": 0, "flags": {}, "not run": [],
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def grown_return(folder: Path, children: int, episodes: int) -> dict[str, int]:
    """Write a return of at least so many children and episodes; rows by table."""
    contract = load_contracts(PROJECT_ROOT / "data_contracts")["ssda903"].at(YEAR)
    written: dict[str, list[pl.DataFrame]] = {}
    with tempfile.TemporaryDirectory() as home:
        synthesise(Path(home), children=3000, years=(YEAR, YEAR))
        for file in sorted(Path(home).glob(f"landing/*/ssda903/{YEAR}/*.csv")):
            rows = pl.read_csv(file, infer_schema=False)
            for table in contract.tables.values():
                if {c.physical_name for c in table.columns} == set(rows.columns):
                    written.setdefault(table.physical_name, []).append(rows)
    seeds = {name: pl.concat(parts, how="diagonal") for name, parts in written.items()}
    copies = max(-(-children // seeds["Header"].height), -(-episodes // seeds["Episodes"].height))
    rows_of = {}
    for name, seed in seeds.items():
        grown = pl.concat(
            seed.with_columns(CHILD=pl.col("CHILD") + f"-{copy}") for copy in range(copies)
        )
        spoilt = grown.select(
            pl.col("CHILD"),
            *(
                pl.when(pl.int_range(pl.len()).hash(seed=place) % 100 == 0)
                .then(pl.col(column).shuffle(seed=place))
                .otherwise(pl.col(column))
                for place, column in enumerate(grown.columns)
                if column != "CHILD"
            ),
        )
        spoilt.write_csv(folder / f"{name}.csv")
        rows_of[name] = spoilt.height
    return rows_of


def measured(python: str, script: str, *arguments: str) -> dict[str, Any]:
    """One process: its times, its peak memory and the rows it flags by rule."""
    ended = subprocess.run(
        [python, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise SystemExit(ended.stderr[-2000:])
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    found["flags"] = {code: {tuple(r) for r in rows} for code, rows in found["flags"].items()}
    return found


def differences(ours: dict[str, Any], public: dict[str, Any]) -> list[tuple[str, str]]:
    """What each rule that both ran says otherwise, as counts of rows."""
    found = []
    for code in sorted(ours["flags"].keys() | public["flags"].keys()):
        mine, theirs = ours["flags"].get(code, set()), public["flags"].get(code, set())
        if mine == theirs:
            continue
        if code in ours["not run"] or code in public["not run"]:
            found.append((code, f"not run by {'us' if code in ours['not run'] else 'the other'}"))
        else:
            both = len(mine & theirs)
            found.append((code, f"{both} by both, {len(mine) - both} ours, {len(theirs) - both}"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--children", type=int, default=2700)
    parser.add_argument("--episodes", type=int, default=5000)
    parser.add_argument("--public-python", help="Python with csc-validator-be-903 installed")
    parser.add_argument("--authority", default="E10000016", help="code given to the public one")
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as place:
        rows = grown_return(Path(place), given.children, given.episodes)
        console.print(", ".join(f"{name} {n:,}" for name, n in rows.items()), highlight=False)
        sides = {
            "ours": (sys.executable, OURS, place, str(PROJECT_ROOT / "data_contracts"), str(YEAR)),
            "polars, reading only": (sys.executable, POLARS, place),
        }
        if given.public_python:
            sides["public"] = (given.public_python, PUBLIC, place, given.authority, str(YEAR))
        runs = {
            name: [measured(*side) for _ in range(given.repeat)] for name, side in sides.items()
        }
    best = {name: min(each, key=lambda run: run["cpu"]) for name, each in runs.items()}
    grid = Grid(
        "", "wall s", "processor s", "peak MB", "rules run", "rules failing", "rows flagged"
    )
    for name, run in best.items():
        flagged = sum(map(len, run["flags"].values()))
        grid.add_row(
            name,
            f"{run['wall']:.2f}",
            f"{run['cpu']:.2f}",
            f"{run['peak']:,}",
            str(run["ran"]),
            str(len(run["flags"])),
            f"{flagged:,}",
        )
    console.print(grid)
    other = best.get("public") or best["polars, reading only"]
    for kind in ("wall", "cpu"):
        console.print(f"{kind}: {other[kind] / best['ours'][kind]:.1f} times ours")
    if "public" in best:
        different = differences(best["ours"], best["public"])
        same = len(best["ours"]["flags"].keys() | best["public"]["flags"].keys()) - len(different)
        console.print(f"{same} rules flag the same rows, {len(different)} do not:")
        for code, said in different:
            console.print(f"  {code}: {said}", highlight=False)


if __name__ == "__main__":
    main()
