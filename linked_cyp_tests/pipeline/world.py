"""What hand-worked cases are told in: children with records, built by dbt as in production."""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import duckdb

from linked_cyp.contracts.model import Contract
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.curated import generated
from linked_cyp.curated.manifest import dbt_environment, dbt_program
from linked_cyp_tests.support import empty_warehouse, insert_rows

DBT = PROJECT_ROOT / "dbt_project"
Ask = Callable[..., list[tuple[Any, ...]]]


def day(text: str) -> date:
    return date.fromisoformat(text)


@dataclass
class World:
    """Pseudonymised rows in the making; a child's record key in a feed is made from its name."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    reference: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    bridge: dict[tuple[str, str], int] = field(default_factory=dict)
    persons: dict[str, int] = field(default_factory=dict)
    tiers: dict[tuple[str, str], str] = field(default_factory=dict)
    keys: Iterator[int] = field(default_factory=lambda: count(500_000))

    def person(self, name: str) -> int:
        return self.persons.setdefault(name, 1000 + len(self.persons))

    def deliver(
        self, feed: str, supplier: str, period: str, year: int, status: str = "accepted"
    ) -> str:
        delivery_id = f"{supplier}.{period}.{feed}.{status}"
        self.rows["delivery"].append(
            {
                "delivery_id": delivery_id,
                "supplier": supplier,
                "feed": feed,
                "period": period,
                "collection_year": year,
                "status": status,
            }
        )
        return delivery_id

    def add(self, table: str, delivery_id: str, child: str | None = None, **columns: Any) -> None:
        """One row; with ``child``, its record key, linked to that child."""
        rows = self.rows[table]
        row = {"delivery_id": delivery_id, "row_number": len(rows) + 1, **columns}
        if child is not None:
            feed = table.split("__")[0]
            key = self.bridge.setdefault((feed, child), 10_000 + len(self.bridge))
            self.person(child)
            row["record_key"] = key
        rows.append(row)

    def write(self, warehouse: Path, contracts: Mapping[str, Contract]) -> None:
        with duckdb.connect(":memory:") as con:
            con.execute(f"ATTACH '{warehouse}' AS warehouse")
            empty_warehouse(con, contracts)
            for table, rows in self.rows.items():
                insert_rows(con, f"warehouse.pseudonymised.{table}", rows)
            for table, rows in self.reference.items():
                insert_rows(con, f"warehouse.reference.{table}", rows)
            insert_rows(
                con,
                "warehouse.linkage.bridge",
                [
                    {
                        "record_key": key,
                        "feed": feed,
                        "person_id": self.persons[child],
                        "tier": self.tiers.get((feed, child), "identifier"),
                    }
                    for (feed, child), key in self.bridge.items()
                ],
            )


def dbt_build(project: Path, warehouse: Path, work: Path, *arguments: str) -> None:
    """``dbt build`` in a process of its own; its output is the failure message."""
    generated.prepare(replace(Settings.from_environment(), dbt_project=project))
    finished = subprocess.run(
        [
            str(dbt_program()),
            "--no-use-colors",
            "build",
            *("--project-dir", str(project), "--profiles-dir", str(project)),
            *("--target-path", str(work / "target")),
            *arguments,
        ],
        env={**os.environ, **dbt_environment(warehouse, work)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-4000:]
