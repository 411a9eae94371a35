"""The hand-worked cases as a release: small, quick, and with every table the demonstration has."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linked_cyp.contracts.model import Contract
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.identity.keys import Keys, create_master_key
from linked_cyp.linkage.records.opt_outs import OPT_OUT_DDL
from linked_cyp.opt_outs.policy import MAX_AGE_DAYS
from linked_cyp.release import publish
from linked_cyp.stores.door import Stores
from linked_cyp_tests.small_warehouse import remember
from linked_cyp_tests.support import insert_rows

RELEASED = dt.datetime(2026, 1, 2)
# What linkage and the checks leave behind and dbt does not.
GATES = f"""
CREATE TABLE IF NOT EXISTS warehouse.linkage.opt_out ({OPT_OUT_DDL});
CREATE SCHEMA IF NOT EXISTS warehouse.provenance;
CREATE TABLE IF NOT EXISTS warehouse.provenance.check_result AS
    SELECT 'curated/child' AS asset, NULL::VARCHAR AS delivery_id,
           'person_id__unique' AS check_name, 'error' AS severity, true AS passed,
           '{{}}' AS metrics, 'by hand' AS run_id, TIMESTAMP '2026-01-01' AS checked_at;
"""


def opt_outs_applied(contracts: Mapping[str, Contract], held: set[str]) -> list[dict[str, Any]]:
    """Every opt-out as it is noted where lists were there and nobody was on them."""
    found = []
    for name, days in MAX_AGE_DAYS.items():
        feeds = sorted(f for f in held if f in contracts and name in contracts[f].opt_outs)
        found.append(
            {
                "opt_out": name,
                "is_applied": True,
                "feeds": ", ".join(feeds),
                "list_date": RELEASED.date(),
                "max_age_days": days,
                "records_left_out": 0,
                "records_without_number": 0,
            }
        )
    return [row for row in found if row["feeds"]]


def lists() -> list[dict[str, Any]]:
    """A delivery of every list of opt-outs, as the ledger has them."""
    day = RELEASED.date().isoformat()
    made = {"supplier": "service", "period": day, "collection_year": 2026, "status": "accepted"}
    return [{**made, "delivery_id": f"service.{day}.{n}", "feed": n} for n in MAX_AGE_DAYS]


def publish_hand_worked(built: Path, home: Path, contracts: Mapping[str, Contract]) -> Path:
    """Publish what dbt built (``warehouse.duckdb`` and ``target`` in ``built``).

    Returns:
        the release's file, which is also ``home/releases/demo/current.duckdb``.
    """
    settings = Settings(
        home=home,
        key_file=home / "keys" / "master.key",
        contracts=PROJECT_ROOT / "data_contracts",
        dbt_project=PROJECT_ROOT / "dbt_project",
    )
    create_master_key(settings.key_file)
    settings.stores.mkdir(parents=True)
    shutil.copy(built / "warehouse.duckdb", settings.warehouse)
    with Stores(settings).connect(warehouse="rw") as con:
        con.execute(GATES)
        held = {
            feed
            for (feed,) in con.execute(
                "SELECT DISTINCT feed FROM warehouse.pseudonymised.delivery"
            ).fetchall()
        }
        insert_rows(con, "warehouse.linkage.opt_out", opt_outs_applied(contracts, held))
        insert_rows(con, "warehouse.pseudonymised.delivery", lists())
    remember(settings)
    return publish(
        settings,
        "demo",
        keys=Keys.load(settings.key_file),
        contracts=contracts,
        manifest=json.loads((built / "target" / "manifest.json").read_text(encoding="utf-8")),
        now=RELEASED,
    ).path
