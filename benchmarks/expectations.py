"""How long checks take: rules pushed down to DuckDB, against two baselines in the same run.

    python benchmarks/expectations.py [--rows 500000 5000000] [--pandas-rows 500000] [--repeats 3]

Each measurement is a process of its own, so that peak memory is that measurement's.

* `rules`: `run_rules`, what the project does.
* `bare SQL`: the same conditions in one hand-written DuckDB query: the least any engine could need.
* `pandas`: the same stock expectations through Great Expectations' pandas engine, from the same
  DuckDB table (only up to `--pandas-rows`).

The last line is the cost of small tables: every table of every contract, 200 rows each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import duckdb

from linked_cyp.contracts.model import load_contracts
from linked_cyp.expectations import Rule, contract_rules, pseudonymised_rules, run_rules
from linked_cyp.expectations.rules import ROW_KEYS, in_set, matches, not_null, unique
from linked_cyp.identity.macros import create_macros

CODES = tuple(f"C{i}" for i in range(12))
COLUMNS = 5
FILLS = {
    "VARCHAR": "'C' || (i % 12)",
    "BIGINT": "i",
    "INTEGER": "2000 + i % 20",
    "DOUBLE": "i * 1.0",
    "DATE": "DATE '2010-01-01' + (i % 5000)::INTEGER",
    "TIMESTAMP": "TIMESTAMP '2010-01-01 00:00:00'",
    "BOOLEAN": "i % 2 = 0",
}


def table(rows: int) -> duckdb.DuckDBPyConnection:
    """A census-like table: coded columns with a few wrong codes, a UPN, a key."""
    con = duckdb.connect()
    con.execute("SET enable_progress_bar = false")
    coded = ", ".join(
        f"CASE WHEN i % 1000 = {k} THEN 'X' WHEN i % 50 = {k} THEN NULL ELSE 'C' || (i % 12) END "
        f"AS c{k}"
        for k in range(COLUMNS)
    )
    con.execute(
        f"CREATE TABLE t AS SELECT i AS id, 'B' || lpad((i * 7919)::VARCHAR, 12, '0') AS upn, "
        f"{coded} FROM range({rows}) r(i)"
    )
    return con


def stock_rules() -> list[Rule]:
    rules = [not_null("id"), unique(["id"])]
    for k in range(COLUMNS):
        rules += [in_set(f"c{k}", CODES), matches(f"c{k}", "^C[0-9]+$"), not_null(f"c{k}")]
    return rules


UPN = Rule("upn__format", "satisfies", ("upn",), {"predicate": "linked_cyp_accepted_upn"})


def by_rules(con: duckdb.DuckDBPyConnection) -> None:
    outcomes = run_rules(con, "t", [*stock_rules(), UPN])
    assert sum(not o.passed for o in outcomes) == COLUMNS * 3 + 1


def by_sql(con: duckdb.DuckDBPyConnection) -> None:
    create_macros(con)
    codes = ", ".join(f"'{code}'" for code in CODES)
    counts = ["count(*)", "count(id)", "count_if(NOT linked_cyp_accepted_upn(upn))"]
    for k in range(COLUMNS):
        counts += [
            f"count(c{k})",
            f"count_if(c{k} NOT IN ({codes}))",
            f"count_if(NOT regexp_matches(c{k}, '^C[0-9]+$'))",
        ]
    con.execute(f"SELECT {', '.join(counts)} FROM t").fetchall()
    con.execute(
        "SELECT sum(n) FROM (SELECT count(*) AS n FROM t GROUP BY id HAVING n > 1)"
    ).fetchall()


def by_pandas(con: duckdb.DuckDBPyConnection) -> None:
    import great_expectations as gx

    kinds = {
        "not_null": lambda r: gx.expectations.ExpectColumnValuesToNotBeNull(column=r.columns[0]),
        "unique": lambda r: gx.expectations.ExpectColumnValuesToBeUnique(column=r.columns[0]),
        "in_set": lambda r: gx.expectations.ExpectColumnValuesToBeInSet(
            column=r.columns[0], value_set=list(r.arguments["values"])
        ),
        "matches": lambda r: gx.expectations.ExpectColumnValuesToMatchRegex(
            column=r.columns[0], regex=r.arguments["pattern"]
        ),
    }
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    batches = context.data_sources.add_pandas("p").add_dataframe_asset("t")
    batch = batches.add_batch_definition_whole_dataframe("all").get_batch(
        {"dataframe": con.execute("SELECT * FROM t").df()}
    )
    suite = gx.ExpectationSuite("s", expectations=[kinds[r.kind](r) for r in stock_rules()])
    batch.validate(suite, result_format={"result_format": "BASIC", "partial_unexpected_count": 0})


METHODS = {"bare SQL": by_sql, "rules": by_rules, "pandas": by_pandas}


def measure(method: str, rows: int, repeats: int) -> tuple[float, float]:
    """Seconds of the quickest repeat, and peak memory of this process in GiB."""
    import linked_cyp.expectations.counted  # noqa: F401  # its import is no part of it

    con = table(rows)
    seconds = []
    for _ in range(repeats):
        before = time.perf_counter()
        METHODS[method](con)
        seconds.append(time.perf_counter() - before)
    return min(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def in_own_process(method: str, rows: int, repeats: int) -> tuple[float, float]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, method, rows, repeats).result()


def small_tables() -> tuple[int, int, float]:
    """Tables checked, rules run and seconds, over every table of every contract."""
    import linked_cyp.expectations.counted  # noqa: F401  # its import is no part of it

    con = duckdb.connect()
    jobs = []
    contracts = load_contracts(Path(__file__).parents[1] / "data_contracts")
    for data in (t for c in contracts.values() for t in c.tables.values()):
        raw = ROW_KEYS | {c.name: c.sql_type for c in data.columns}
        outputs = ROW_KEYS | ({"record_key": "BIGINT"} if data.person_key else {})
        outputs |= {o.name: o.sql_type for o in data.pseudonymised()}
        for zone, columns, rules in (
            ("raw", raw, contract_rules(data, 2025, rows=200)),
            ("pseudonymised", outputs, pseudonymised_rules(data, rows=200)),
        ):
            select = ", ".join(f'({FILLS[kind]})::{kind} AS "{n}"' for n, kind in columns.items())
            con.execute(f"CREATE SCHEMA IF NOT EXISTS {zone}")
            con.execute(
                f"CREATE TABLE {zone}.{data.table_name} AS SELECT {select} FROM range(200) r(i)"
            )
            jobs.append((f"{zone}.{data.table_name}", rules))
    before = time.perf_counter()
    for relation, rules in jobs:
        run_rules(con, relation, rules)
    return len(jobs), sum(len(rules) for _, rules in jobs), time.perf_counter() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[500_000, 5_000_000])
    parser.add_argument("--pandas-rows", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=3, help="the quickest counts")
    options = parser.parse_args()
    print(f"{len(stock_rules()) + 1} rules (the pandas baseline leaves out the UPN check letter)")
    print(f"{'rows':>10}  {'method':10} {'seconds':>8} {'peak GB':>8} {'x bare SQL':>10}")
    for rows in options.rows:
        floor = None
        for method in METHODS:
            if method == "pandas" and rows > options.pandas_rows:
                continue
            seconds, memory = in_own_process(method, rows, options.repeats)
            floor = floor or seconds
            print(f"{rows:>10}  {method:10} {seconds:8.2f} {memory:8.2f} {seconds / floor:10.1f}")
    tables, rules, seconds = small_tables()
    print(f"{tables} small tables, {rules} rules: {1000 * seconds / tables:.0f} ms a table")


if __name__ == "__main__":
    main()
