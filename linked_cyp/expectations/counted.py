"""Expectations that count and never fetch, and the one validation that runs them.

Great Expectations asks a table for samples of unexpected values even when it is told to show
none. The classes here ask for counts only, so no query ever selects a value; that also halves
their cost. Importing this module imports Great Expectations, which takes seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
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
)
from great_expectations.expectations.expectation import BatchExpectation, ColumnMapExpectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metrics import ColumnMapMetricProvider
from great_expectations.expectations.metrics.map_metric_provider import column_condition_partial
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validator import ValidationDependencies, Validator

RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}


class ColumnValuesSatisfy(ColumnMapMetricProvider):
    """Rows whose value makes a DuckDB macro true."""

    condition_metric_name = "column_values.satisfy"
    condition_value_keys = ("predicate",)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: Any, predicate: str, **kwargs: Any) -> Any:
        return getattr(sa.func, predicate)(column)


class TableBreaches(TableMetricProvider):
    """The number of rows that a query of breaches returns."""

    metric_name = "table.breaches"
    value_keys = ("query",)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict,
        metric_value_kwargs: dict,
        metrics: dict[str, Any],
        runtime_configuration: dict,
    ) -> int:
        query = sa.text(metric_value_kwargs["query"].replace(":", r"\:"))
        return int(execution_engine.execute_query(query).scalar() or 0)


def _dependencies(metrics: dict[str, tuple[dict, dict]]) -> ValidationDependencies:
    """Metrics by name, each with its domain and its values, and the format without samples."""
    found = ValidationDependencies(metric_configurations={}, result_format=dict(RESULT_FORMAT))
    for name, (domain, values) in metrics.items():
        found.set_metric_configuration(
            name, MetricConfiguration(name, IDDict(domain), IDDict(values))
        )
    return found


class _CountsOnly:
    """Makes a column expectation depend on counts alone (no `unexpected_values`)."""

    value_keys: ClassVar[tuple[str, ...]] = ()

    def get_validation_dependencies(
        self, execution_engine: Any = None, runtime_configuration: dict | None = None
    ) -> ValidationDependencies:
        domain = {"column": self.column}
        return _dependencies(
            {
                "column_values.nonnull.unexpected_count": (domain, {}),
                f"{self.map_metric}.unexpected_count": (
                    domain,
                    {key: getattr(self, key) for key in self.value_keys},
                ),
                "table.row_count": ({}, {}),
            }
        )


class ExpectCountedNoNulls(_CountsOnly, ExpectColumnValuesToNotBeNull):
    """The column is never null."""


class ExpectCountedInSet(_CountsOnly, ExpectColumnValuesToBeInSet):
    """Values are in a set; nulls are left out."""

    value_keys: ClassVar[tuple[str, ...]] = ("value_set",)


class ExpectCountedBetween(_CountsOnly, ExpectColumnValuesToBeBetween):
    """Values are between two bounds, inclusive; nulls are left out."""

    value_keys: ClassVar[tuple[str, ...]] = ("min_value", "max_value", "strict_min", "strict_max")


class ExpectCountedRegex(_CountsOnly, ExpectColumnValuesToMatchRegex):
    """The pattern is found in every value; nulls are left out."""

    value_keys: ClassVar[tuple[str, ...]] = ("regex",)


class ExpectCountedSatisfy(_CountsOnly, ColumnMapExpectation):
    """Values make a DuckDB macro true; nulls are left out."""

    predicate: str
    map_metric: ClassVar[str] = "column_values.satisfy"
    success_keys: ClassVar[tuple[str, ...]] = ("predicate", "mostly")
    value_keys: ClassVar[tuple[str, ...]] = ("predicate",)


class ExpectNoBreaches(BatchExpectation):
    """A query of breaches counts none."""

    query: str
    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.breaches", "table.row_count")
    success_keys: ClassVar[tuple[str, ...]] = ("query",)

    def get_validation_dependencies(
        self, execution_engine: Any = None, runtime_configuration: dict | None = None
    ) -> ValidationDependencies:
        return _dependencies(
            {"table.breaches": ({}, {"query": self.query}), "table.row_count": ({}, {})}
        )

    def _validate(
        self, metrics: dict, runtime_configuration: dict | None = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        breaches = metrics["table.breaches"]
        return {
            "success": breaches == 0,
            "result": {
                "element_count": metrics["table.row_count"],
                "unexpected_count": breaches,
            },
        }


class _Regex:
    """Great Expectations knows no DuckDB. Of the dialects it knows, Dremio's regular expressions
    are DuckDB's: regexp_matches(), a search."""

    DremioDialect = True


class _Validator(Validator):
    """A validator of its own, with no data context: no files, no configuration, no telemetry."""

    def _determine_progress_bars(self) -> bool:
        return False


def validate(
    engine: sa.Engine, view: str, expectations: Mapping[str, tuple[str, dict[str, Any]]]
) -> dict[str, Any]:
    """Run named expectations (type and arguments) over one view, in one validation.

    Returns:
        Great Expectations' result of each, by name.

    Raises:
        Exception: whatever Great Expectations raises when a metric cannot be computed.
    """
    execution = SqlAlchemyExecutionEngine(engine=engine, create_temp_table=False)
    execution.dialect_module = _Regex
    data = SqlAlchemyBatchData(execution, table_name=view, create_temp_table=False)
    execution.load_batch_data(view, data)
    results = _Validator(execution_engine=execution, batches=[Batch(data=data)]).graph_validate(
        configurations=[
            ExpectationConfiguration(type=kind, kwargs=arguments, meta={"rule": name})
            for name, (kind, arguments) in expectations.items()
        ],
        runtime_configuration={"result_format": RESULT_FORMAT, "catch_exceptions": False},
    )
    configured = ((result.expectation_config, result) for result in results)
    return {config.meta["rule"]: result for config, result in configured if config}
