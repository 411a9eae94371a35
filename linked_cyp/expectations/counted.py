"""Expectations that count and never fetch, and the one validation that runs them.

Great Expectations asks a table for samples of unexpected values even when it is told to show
none. The classes here ask for counts only, so no query ever selects a value; that also halves
their cost. Importing this module imports Great Expectations, which takes seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # no telemetry; read when the package is imported

import sqlalchemy as sa
from great_expectations.core import IDDict
from great_expectations.core.batch import Batch
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
from great_expectations.expectations.core import (
    ExpectColumnValuesToBeBetween,
    ExpectColumnValuesToBeInSet,
    ExpectColumnValuesToMatchRegex,
    ExpectColumnValuesToNotBeNull,
    ExpectTableRowCountToEqual,
)
from great_expectations.expectations.expectation import BatchExpectation, ColumnMapExpectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validator import ValidationDependencies, Validator

from linked_cyp.expectations.counts import NULLS, ROWS, UNDECLARED

COUNTS = "table.counts"
RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}


class TableCounts(TableMetricProvider):
    """What one statement counts, by name: every rule of a table is computed from this one row."""

    metric_name = COUNTS
    value_keys = ("statement",)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict,
        metric_value_kwargs: dict,
        metrics: dict[str, Any],
        runtime_configuration: dict,
    ) -> dict[str, int]:
        with execution_engine.get_connection() as connection:
            row = connection.exec_driver_sql(metric_value_kwargs["statement"]).mappings().one()
        return {name: int(count) for name, count in row.items()}


class _Counted:
    """Makes an expectation depend on the one row of counts alone (no `unexpected_values`).

    What Great Expectations would have asked for, metric by metric, is read from that row, and
    judged as it judges: the verdict and the shares stay its own. `meta` holds the rule's name and
    the statement.
    """

    meta: Any

    def get_validation_dependencies(
        self, execution_engine: Any = None, runtime_configuration: dict | None = None
    ) -> ValidationDependencies:
        found = ValidationDependencies(metric_configurations={}, result_format=dict(RESULT_FORMAT))
        found.set_metric_configuration(COUNTS, _counts_of(self.meta["statement"]))
        return found

    def _validate(
        self, metrics: dict, runtime_configuration: dict | None = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        asked = self._asked(metrics[COUNTS])
        return super()._validate(asked, runtime_configuration, execution_engine)  # type: ignore[misc]

    def _asked(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """Raises KeyError where the rule was not counted: it never passes for want of a count."""
        rule = self.meta["rule"]
        return {
            "table.row_count": counts[ROWS],
            "column_values.nonnull.unexpected_count": counts[NULLS.format(rule)],
            f"{self.map_metric}.unexpected_count": counts[rule],  # type: ignore[attr-defined]
        }


class ExpectCountedNoNulls(_Counted, ExpectColumnValuesToNotBeNull):
    """The column is never null."""


class ExpectCountedInSet(_Counted, ExpectColumnValuesToBeInSet):
    """Values are in a set; nulls are left out."""


class ExpectCountedBetween(_Counted, ExpectColumnValuesToBeBetween):
    """Values are between two bounds, inclusive; nulls are left out."""


class ExpectCountedRegex(_Counted, ExpectColumnValuesToMatchRegex):
    """The pattern is found in every value; nulls are left out."""


class ExpectCountedSatisfy(_Counted, ColumnMapExpectation):
    """Values make a DuckDB macro true; nulls are left out."""

    predicate: str
    map_metric: ClassVar[str] = "column_values.satisfy"
    success_keys: ClassVar[tuple[str, ...]] = ("predicate", "mostly")


class ExpectDeclaredColumns(_Counted, BatchExpectation):
    """The table has the columns that are declared, in any order and in any case, and no other."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ()

    def _validate(
        self, metrics: dict, runtime_configuration: dict | None = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        counts = metrics[COUNTS]
        undeclared = counts[UNDECLARED.format(self.meta["rule"])]
        missing = counts[self.meta["rule"]]
        return {
            "success": missing == undeclared == 0,
            "result": {"missing_columns": missing, "undeclared_columns": undeclared},
        }


class ExpectCountedRows(_Counted, ExpectTableRowCountToEqual):
    """The table has so many rows."""

    def _asked(self, counts: Mapping[str, int]) -> dict[str, Any]:
        return {"table.row_count": counts[ROWS]}


class ExpectNoBreaches(_Counted, BatchExpectation):
    """The rule has no breach in the whole table."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ()

    def _validate(
        self, metrics: dict, runtime_configuration: dict | None = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        counts = metrics[COUNTS]
        breaches = counts[self.meta["rule"]]
        return {
            "success": breaches == 0,
            "result": {"element_count": counts[ROWS], "unexpected_count": breaches},
        }


@lru_cache(maxsize=8)
def _counts_of(statement: str) -> MetricConfiguration:
    """One configuration for all expectations of a table; its id is made of the whole statement."""
    return MetricConfiguration(COUNTS, IDDict(), IDDict({"statement": statement}))


class _Validator(Validator):
    """A validator of its own, with no data context: no files, no configuration, no telemetry."""

    def _determine_progress_bars(self) -> bool:
        return False


def validate(
    engine: sa.Engine,
    view: str,
    expectations: Mapping[str, tuple[str, dict[str, Any]]],
    statement: str,
) -> dict[str, Any]:
    """Run named expectations (type and arguments) over one view, in one validation.

    Args:
        engine: see `dialect`.
        view: what is checked.
        expectations: by the name of their rule.
        statement: counts what the rules need, in one row (see `counts`).

    Returns:
        Great Expectations' result of each, by name.

    Raises:
        Exception: whatever Great Expectations raises when a metric cannot be computed.
    """
    execution = SqlAlchemyExecutionEngine(engine=engine, create_temp_table=False)
    data = SqlAlchemyBatchData(execution, table_name=view, create_temp_table=False)
    execution.load_batch_data(view, data)
    results = _Validator(execution_engine=execution, batches=[Batch(data=data)]).graph_validate(
        configurations=[
            ExpectationConfiguration(
                type=kind,
                kwargs=arguments,
                meta={"rule": name, "statement": statement},
            )
            for name, (kind, arguments) in expectations.items()
        ],
        runtime_configuration={"result_format": RESULT_FORMAT, "catch_exceptions": False},
    )
    configured = ((result.expectation_config, result) for result in results)
    return {config.meta["rule"]: result for config, result in configured if config}
