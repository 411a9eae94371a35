"""Score candidate pairs on Spark instead of DuckDB: same records, same model, same pairs.

Splink's Spark dialect does not work where ``sqlglotc`` is installed, which dbt brings. So Spark
has an environment of its own (``requirements-spark.txt``), whose Python runs one file of this
package, :mod:`linked_cyp.linkage.pairs.spark_job`, and nothing else of it. What crosses is Parquet
in
the store's private work folder: the columns that the model compares on the way there, record
numbers with match weights on the way back. Everything is removed afterwards. The model is trained
once, on DuckDB, and shipped: each engine would draw other samples and learn other weights.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import Settings
from linked_cyp.linkage.pairs import spark_job

ENGINES = ("duckdb", "spark")
_IS_NEW = "is_new"  # column of a record that has to be scored, where not all have to


@dataclass(frozen=True)
class Spark:
    """The Spark environment that scores.

    Args:
        python: its Python (``LINKED_CYP_SPARK_PYTHON``).
        memory: of Spark's driver, as Spark writes it.
    """

    python: Path | None
    memory: str = "4g"

    @classmethod
    def chosen(cls, settings: Settings) -> Spark | None:
        """Spark where the settings say so, None where DuckDB scores.

        Raises:
            LinkedCypError: there is no engine of that name.
        """
        if settings.linkage_engine not in ENGINES:
            raise LinkedCypError(f"LINKED_CYP_LINKAGE_ENGINE is one of {', '.join(ENGINES)}")
        spark = settings.linkage_engine == "spark"
        return cls(settings.spark_python, _spark_size(settings.memory_limit)) if spark else None

    @contextmanager
    def scored(
        self,
        con: duckdb.DuckDBPyConnection,
        settings: Mapping[str, Any],
        threshold: float,
        changed: str | None = None,
    ) -> Iterator[str]:
        """The scored pairs, as a relation that lasts as long as the context.

        Args:
            con: connection whose current schema holds ``person_input``, the columns of the records
                that may be linked; its spill folder holds what is exchanged.
            settings: trained settings, in DuckDB's SQL.
            threshold: lowest match weight.
            changed: table of the record keys of which each pair holds one; None for all pairs.

        Raises:
            LinkedCypError: there is no usable Spark environment, or Spark failed; never with a
                value.
        """
        if self.python is None or not self.python.exists():
            raise LinkedCypError(
                "the Spark engine needs LINKED_CYP_SPARK_PYTHON: the Python of an environment "
                "made from requirements-spark.lock (docs/spark.md)"
            )
        new = f", record_key IN (FROM {changed}) AS {_IS_NEW}" if changed else ""
        with _work_folder(con) as work:
            records, pairs = work / "records.parquet", work / "pairs"
            con.execute(
                f"COPY (SELECT *{new} FROM person_input) TO '{_quoted(records)}' (FORMAT parquet)"
            )
            request = {
                "records": str(records),
                "pairs": str(pairs),
                "work": str(work),
                "settings": spark_settings(settings, only_new=changed is not None),
                "threshold": threshold,
                "memory": self.memory,
                "splink_version": version("splink"),
            }
            _run(self.python, request)
            yield f"read_parquet('{_quoted(pairs)}/*.parquet')"


def spark_settings(settings: Mapping[str, Any], *, only_new: bool = False) -> dict[str, Any]:
    """Trained settings in Spark's SQL: its quotes are backticks, a quoted ``"name"`` is a text.

    Every m and u stays as it is.

    Args:
        only_new: leave out pairs of two records that have been scored before.
    """
    translated = json.loads(json.dumps(settings))
    translated["sql_dialect"] = "spark"
    for rule in translated["blocking_rules_to_generate_predictions"]:
        condition = f"{rule['blocking_rule']} AND (l.{_IS_NEW} OR r.{_IS_NEW})"
        rule["blocking_rule"] = to_spark(condition if only_new else rule["blocking_rule"])
        rule["sql_dialect"] = "spark"
    for comparison in translated["comparisons"]:
        for level in comparison["comparison_levels"]:
            if level["sql_condition"] != "ELSE":
                level["sql_condition"] = to_spark(level["sql_condition"])
    return translated


def to_spark(condition: str) -> str:
    """One condition of DuckDB in Spark's SQL."""
    import sqlglot

    return sqlglot.transpile(condition, read="duckdb", write="spark")[0]


@contextmanager
def _work_folder(con: duckdb.DuckDBPyConnection) -> Iterator[Path]:
    """A private folder inside the connection's spill folder; a killed step's is swept with that."""
    spill = con.execute("SELECT current_setting('temp_directory')").fetchall()[0][0]
    if not spill:
        raise LinkedCypError("the connection has no folder to exchange records in")
    Path(spill).mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix="spark-", dir=spill))  # mode 0700
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(python: Path, request: Mapping[str, Any]) -> None:
    """Run the job and wait; its own messages are not read, because they quote values."""
    command = [str(python), "-P", spark_job.__file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            lines = process.stdout.read().splitlines()
        except BrokenPipeError:
            lines = []
        except BaseException:
            process.kill()
            raise
    answer = _answer(lines)
    if "problem" in answer:
        raise LinkedCypError(f"the Spark environment cannot be used: {answer['problem']}")
    if answer or process.returncode:
        how = answer.get("error", f"exit {process.returncode}")
        raise LinkedCypError(f"scoring candidate pairs on Spark: {how}")


def _answer(lines: list[bytes]) -> dict[str, str]:
    """The job's last line, or what to say when it has none."""
    try:
        return dict(json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError):
        return {"error": "no answer from the Spark environment"}


def _spark_size(size: str) -> str:
    """``4GB`` or ``500 MiB`` as Java writes it."""
    return size.replace(" ", "").replace("iB", "").replace("B", "").lower()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
