"""Where everything lives: read from the environment once, at the door, never at import."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from linked_cyp.core.errors import LinkedCypError

MEMORY_LIMIT = "4GB"
_SIZE = r"[1-9][0-9]*(\.[0-9]+)? ?(KB|MB|GB|TB|KiB|MiB|GiB|TiB)"  # as DuckDB writes sizes
PROJECT_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """Folders and files of one installation.

    ``home`` holds all data: landing, stores, reference, releases and Dagster's own storage.
    ``key_file`` holds the master key and may (in production should) live elsewhere.
    ``memory_limit`` bounds each DuckDB; what does not fit is spilled, encrypted.
    ``linkage_engine`` scores pairs: ``duckdb``, or ``spark`` in the environment whose Python is
    ``spark_python`` (docs/spark.md).
    """

    home: Path
    key_file: Path
    contracts: Path
    dbt_project: Path
    memory_limit: str = MEMORY_LIMIT
    linkage_engine: str = "duckdb"
    spark_python: Path | None = None

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``LINKED_CYP_HOME``, ``_KEY_FILE``, ``_CONTRACTS``, ``_MEMORY_LIMIT``,
        ``_LINKAGE_ENGINE`` and ``_SPARK_PYTHON``.

        Raises:
            LinkedCypError: the memory limit is no size.
        """
        home = Path(os.environ.get("LINKED_CYP_HOME") or PROJECT_ROOT / "data").absolute()
        key_file = os.environ.get("LINKED_CYP_KEY_FILE")
        contracts = os.environ.get("LINKED_CYP_CONTRACTS")
        spark_python = os.environ.get("LINKED_CYP_SPARK_PYTHON")
        memory_limit = os.environ.get("LINKED_CYP_MEMORY_LIMIT") or MEMORY_LIMIT
        if not re.fullmatch(_SIZE, memory_limit, re.IGNORECASE):
            raise LinkedCypError("LINKED_CYP_MEMORY_LIMIT is no size such as 4GB or 800MB")
        return cls(
            home=home,
            key_file=Path(key_file) if key_file else home / "keys" / "master.key",
            contracts=Path(contracts) if contracts else PROJECT_ROOT / "data_contracts",
            dbt_project=PROJECT_ROOT / "dbt_project",
            memory_limit=memory_limit,
            linkage_engine=os.environ.get("LINKED_CYP_LINKAGE_ENGINE") or "duckdb",
            spark_python=Path(spark_python) if spark_python else None,
        )

    @property
    def landing(self) -> Path:
        return self.home / "landing"

    @property
    def stores(self) -> Path:
        return self.home / "stores"

    @property
    def work(self) -> Path:
        """Transcoded copies and spill files, mode 0700; swept when a store is opened."""
        return self.stores / "work"

    @property
    def warehouse(self) -> Path:
        return self.stores / "warehouse.duckdb"

    @property
    def postcodes(self) -> Path:
        return self.home / "reference" / "postcodes.csv"

    @property
    def opt_outs(self) -> Path:
        """What the operator decided on opt-outs; without it all are applied (docs/opt_outs.md)."""
        return self.home / "opt_outs.toml"

    @property
    def releases(self) -> Path:
        return self.home / "releases"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"
