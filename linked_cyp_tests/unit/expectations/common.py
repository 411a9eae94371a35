"""Great Expectations' own expectations, with its own metrics: what ours are measured by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from linked_cyp.expectations.dialect import engine_over


class _Regex:
    """Great Expectations knows no DuckDB. Of the dialects it knows, Dremio's regular expressions
    are DuckDB's: regexp_matches(), a search."""

    DremioDialect = True


def stock_results(
    con: duckdb.DuckDBPyConnection, view: str, expectations: Mapping[str, tuple[str, dict]]
) -> dict[str, Any]:
    """The result of each stock expectation (type and arguments), each metric a query of its own."""
    from great_expectations.core.batch import Batch
    from great_expectations.execution_engine import SqlAlchemyExecutionEngine
    from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    from linked_cyp.expectations.counted import RESULT_FORMAT, _Validator

    execution = SqlAlchemyExecutionEngine(engine=engine_over(con), create_temp_table=False)
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
    return {result.expectation_config.meta["rule"]: result for result in results}
