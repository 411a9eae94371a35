"""``docs/definitions``: the hand-worked cases of every curated and cohort table, to be read.

``linked-cyp generate definitions`` writes the folder (it builds the cases with dbt, about a
minute). A test says whether it is current.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp_tests.definition_cases import Case, Row, cases, given, stories
from linked_cyp_tests.pipeline.world import DBT, World, dbt_build
from linked_cyp_tests.pipeline.worlds import hand_worked

FOLDER = PROJECT_ROOT / "docs" / "definitions"
INDEX = "README.md"
# The spine is made from every feed: a table that reads it is not thereby about all of them.
SPINE = "model.linked_cyp.child"


def documents(
    con: duckdb.DuckDBPyConnection,
    manifest: Mapping[str, Any],
    world: World,
    contracts: Mapping[str, Contract],
) -> dict[str, str]:
    """File name → Markdown, for every table with a case, and the index."""
    by_table: dict[str, list[Case]] = defaultdict(list)
    for case in cases(con, world):
        by_table[case.tables[0]].append(case)
    told = stories(world.persons)
    models = {
        f"{n['schema']}.{n['name']}": n
        for n in manifest["nodes"].values()
        if n["resource_type"] == "model" and n["schema"] in ("curated", "cohort")
    }
    rows = {child: given(child, world, contracts) for child in world.persons}
    made = {}
    for table, asked in by_table.items():
        sources = _sources(models[table]["unique_id"], manifest)
        made[f"{table}.md"] = _page(models[table], asked, told, rows, sources)
    made[INDEX] = _index(models, by_table)
    return made


def _sources(model: str, manifest: Mapping[str, Any]) -> set[str]:
    """The pseudonymised tables a model is made from, the spine's apart unless it is the spine."""
    found, pending, seen = set(), [model], {model}
    while pending:
        node = manifest["nodes"].get(pending.pop(), {})
        for name in (node.get("depends_on") or {}).get("nodes", ()):
            if name in manifest["sources"]:
                found.add(manifest["sources"][name]["name"])
            elif name not in seen and name != SPINE:
                seen.add(name)
                pending.append(name)
    return found


def _index(models: Mapping[str, Any], by_table: Mapping[str, Sequence[Case]]) -> str:
    lines = [
        "# Definitions, on cases worked by hand",
        "",
        "Each page is a table: what it is, and for a few invented children what was delivered and",
        "what comes of it. The pages are written from the tests that hold the tables to these",
        "cases, by `linked-cyp generate`. Do not edit them by hand.",
        "",
        "| table | what it is | cases |",
        "|---|---|---|",
    ]
    beside = {t: c.tables[0] for held in by_table.values() for c in held for t in c.tables[1:]}
    for table in sorted(models, key=lambda t: (t.startswith("cohort"), t)):
        # a table may stand on the page of another that is asked together with it
        page = table if table in by_table else beside.get(table)
        asked = [c for c in by_table.get(page or "", ()) if table in c.tables]
        count = len({(c.title, c.child) for c in asked})
        name = f"[{table}]({page}.md)" if page else table
        what = _cell(models[table]["description"].split(". ")[0].rstrip(". "))
        lines.append(f"| {name} | {what} | {count or '-'} |")
    return "\n".join([*lines, ""])


def _page(
    model: Mapping[str, Any],
    asked: Sequence[Case],
    told: Mapping[tuple[str, str], str],
    rows: Mapping[str, Mapping[str, Sequence[Row]]],
    sources: set[str],
) -> str:
    path = f"../../dbt_project/{model['original_file_path']}"
    lines = [
        f"# {model['schema']}.{model['name']}",
        "",
        " ".join(model["description"].split()),
        "",
        f"Made by [{model['name']}.sql]({path}); its columns are in the"
        f" [dictionary](../dictionary/README.md). How to read the cases: [definitions]({INDEX}).",
    ]
    shown: set[str] = set()
    title = ""
    for case in asked:
        if case.title != title:
            title = case.title
            lines += ["", f"## {title[0].upper()}{title[1:]}"]
        lines += ["", f"**Given** {_story(case, told)}"]
        if case.child not in shown:
            shown.add(case.child)
            held = rows[case.child]
            lines += _delivered({table: held[table] for table in held if table in sources})
        lines += ["", "**Then**", ""]
        lines += _table(case.columns, case.rows) if case.rows else ["No row."]
    return "\n".join([*lines, ""])


def _story(case: Case, told: Mapping[tuple[str, str], str]) -> str:
    """The child by name, with what the world that the test belongs to says of it."""
    own = [m for m, _ in told if f"``{m}``" in (case.module.__doc__ or "")]
    elsewhere = [m for m, child in told if child == case.child]
    for module in (*own, *elsewhere):
        if text := told.get((module, case.child)):
            name = f"*{case.child}*"
            rest = text.removeprefix(case.child)
            return name + _cell(rest) if rest != text else f"{name}. {_cell(text)}"
    return f"*{case.child}*."


def _delivered(rows: Mapping[str, Sequence[Row]]) -> list[str]:
    lines = []
    for table, held in rows.items():
        columns = list(dict.fromkeys(name for row in held for name in row))
        lines += ["", f"`{table}`", ""]
        lines += _table(columns, [[row.get(c) for c in columns] for row in held])
    if lines:
        lines = ["", "<details><summary>What was delivered</summary>", *lines, "", "</details>"]
    return lines


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    return [
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(_value(value) for value in row)} |" for row in rows),
    ]


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:,.10g}".replace(",", "")
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return ", ".join(_value(v) for v in value)
    return _cell(str(value))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def documents_of(built: Path, world: World, contracts: Mapping[str, Contract]) -> dict[str, str]:
    """The documents of the cases that dbt built in a folder (``warehouse.duckdb``, ``target``)."""
    manifest = json.loads((built / "target" / "manifest.json").read_text(encoding="utf-8"))
    with duckdb.connect(str(built / "warehouse.duckdb"), read_only=True) as con:
        return documents(con, manifest, world, contracts)


def generated() -> dict[Path, str]:
    """The folder's files, from cases that are built with dbt now (about a minute)."""
    contracts = load_contracts(PROJECT_ROOT / "data_contracts")
    world = hand_worked()
    with tempfile.TemporaryDirectory() as name:
        built = Path(name)
        world.write(built / "warehouse.duckdb", contracts)
        dbt_build(DBT, built / "warehouse.duckdb", built, "--exclude", "source:*")
        return {FOLDER / name: text for name, text in documents_of(built, world, contracts).items()}
