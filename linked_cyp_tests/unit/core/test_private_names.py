"""Names that are private to a library: one module per library, each named here.

When an upgrade moves one, the test fails by its name; when code uses another, the scan finds it.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "linked_cyp"
# Where they may be used. Great Expectations' own are public by name; what is overridden is not.
MODULES = {
    "dagster": "defs/_dagster.py",
    "great_expectations": "expectations/counted.py",
    "splink": "linkage/model/splink_session.py",
}
NAMES = [
    "dagster._core.remote_origin.RegisteredCodeLocationOrigin",
    "dagster._core.remote_origin.RemoteRepositoryOrigin.get_job_origin",
    "dagster._core.storage.event_log.ConsolidatedSqliteEventLogStorage._connect",
    "dagster._core.storage.event_log.ConsolidatedSqliteEventLogStorage.has_table",
    "dagster._core.utils.make_new_run_id",
    "dagster.AssetCheckSpec._replace",
    "dagster.DagsterInstance.create_run_for_job",
    "dagster_dbt.DbtCliResource._initialize_dbt_core_adapter",
    "dagster_webserver.app.DagsterWebserver.build_middleware",  # of defs/webserver.py
    "dagster_webserver.cli.dagster_webserver",
    "great_expectations.execution_engine.sqlalchemy_batch_data.SqlAlchemyBatchData",
    "great_expectations.expectations.metrics.metric_provider.metric_value",
    "great_expectations.validator.validator.ValidationDependencies",
    "great_expectations.validator.validator.Validator._determine_progress_bars",
    "splink.Linker",
    "splink.internals.charts.UnlinkablesChart",
]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_where_it_was(name: str) -> None:
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            assert hasattr(found, part), f"{name}: {part} has moved"
            found = getattr(found, part)
        return
    raise AssertionError(f"{name} has moved")


def test_dremio_is_still_a_dialect_that_great_expectations_asks_for() -> None:
    """What the tests of checks pretend to be (``expectations/common.py``)."""
    from great_expectations.expectations.metrics import util

    assert "DremioDialect" in Path(util.__file__).read_text()


def test_a_linker_still_has_its_database() -> None:
    from splink.internals import linker

    assert "self._db_api" in Path(linker.__file__).read_text()


def test_no_other_module_uses_a_private_name() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in PACKAGE.rglob("*.py")
        for name in private_names(path)
        if str(path.relative_to(PACKAGE)) not in MODULES.values()
        and "in_page" not in path.parts  # stand-ins of our own for what a browser lacks
    }
    assert found == {
        ("linkage/pairs/spark_job.py", "os._exit"),  # Python's own, and documented
        ("core/processes.py", "os._exit"),
        (
            "linkage/model/training.py",
            "splink.internals.exceptions",
        ),  # its public errors live there
    }


def private_names(path: Path) -> set[str]:
    """Private modules imported and private attributes of other objects, of what is not ours."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] not in ("linked_cyp", "__future__") and (
                "internals" in parts or any(part.startswith("_") for part in parts)
            ):
                names.add(node.module)
        if (
            isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and not (
                isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "loaded")
            )
        ):
            names.add(ast.unparse(node))
    return names
