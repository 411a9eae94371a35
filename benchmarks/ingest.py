"""Landing to raw to pseudonymised, per feed, against the barest read of the same files.

    python -m benchmarks.ingest --rows 20000 200000 --json ingest.json
    python -m benchmarks.ingest --table ingest.json --into docs/ingest_benchmarks.md

Deliveries are invented from the contracts (:mod:`benchmarks.ingest_files`), so every feed can be
made at any size and in every form that it comes in: CSV, tab-separated, zipped, a list of numbers,
XML. The yardstick is DuckDB's ``read_csv`` into a new table of a file, table by table, nothing
checked or kept (a zip file is unpacked first); for XML a walk over every element with lxml. Each
measurement is a process of its own: wall time after imports, processor time (less disturbed by
other work on the machine), and the peak of its resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks.ingest_files import delivery_files, forms, invent
from benchmarks.pages import growth, put_into
from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.settings import PROJECT_ROOT, Settings

MARKS = ("<!-- figures of benchmarks.ingest -->", "<!-- end of figures -->")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--feed", action="append", help="by default every feed")
    parser.add_argument("--memory-limit", default="2GB", help="DuckDB's own limit, for ours")
    parser.add_argument("--json", type=Path, help="write the measurements here too")
    parser.add_argument("--table", type=Path, help="print the table of a saved run (Markdown)")
    parser.add_argument("--into", type=Path, help="put the table into this page instead")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        what, feed, home = arguments.child
        print(json.dumps(measure(what, feed, Path(home), arguments.memory_limit)))
        return
    if arguments.table:
        figures = markdown(json.loads(arguments.table.read_text(encoding="utf-8")))
        if arguments.into:
            put_into(arguments.into, figures, MARKS)
        else:
            print(figures)
        return
    contracts = load_contracts(PROJECT_ROOT / "data_contracts")
    results = []
    wanted = [
        (feed, form) for feed in arguments.feed or contracts for form in forms(contracts[feed])
    ]
    for feed, form in wanted:
        for rows in arguments.rows:
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                home = Path(folder)
                size = invent(contracts[feed], form, rows, home)
                done = {w: child(w, feed, home, arguments.memory_limit) for w in ("bare", "ours")}
            results.append({"feed": feed, "form": form, "rows": rows, "megabytes": size, **done})
            print(line(results[-1]), flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(results, indent=1))


def child(what: str, feed: str, home: Path, memory_limit: str) -> dict:
    command = [sys.executable, "-m", "benchmarks.ingest", "--memory-limit", memory_limit]
    done = subprocess.run(
        [*command, "--child", what, feed, str(home)],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        env=os.environ | {"LINKED_CYP_HOME": str(home)},
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def measure(what: str, feed: str, home: Path, memory_limit: str) -> dict:
    contract = load_contracts(PROJECT_ROOT / "data_contracts")[feed]
    is_xml = delivery_files(contract, home)[0].suffix == ".xml"
    run = ours if what == "ours" else bare_xml if is_xml else bare_csv
    with duckdb.connect() as con:
        con.execute("SELECT ?", ["first use of a parameter imports pandas"])
    base, cpu = peak(), time.process_time()
    took = run(contract, home, memory_limit)
    return took | {
        "total": sum(seconds for step, seconds in took.items() if step != "raw_peak_mb"),
        "cpu": time.process_time() - cpu,
        "peak_mb": peak(),
        "imports_mb": base,
    }


def bare_csv(contract: Contract, home: Path, memory_limit: str) -> dict:
    begin = time.perf_counter()
    with duckdb.connect(str(home / "bare.duckdb")) as con:
        files = delivery_files(contract, home)
        if files[0].suffix == ".zip":
            shutil.unpack_archive(files[0], home / "unpacked")
            files = sorted((home / "unpacked").iterdir())
        for number, path in enumerate(files):
            con.execute(f"CREATE TABLE t{number} AS FROM read_csv('{path}')")
    return {"read": time.perf_counter() - begin}


def bare_xml(contract: Contract, home: Path, memory_limit: str) -> dict:
    from lxml import etree

    begin = time.perf_counter()
    seen = 0
    for path in delivery_files(contract, home):
        for _, element in etree.iterparse(str(path), events=("end",)):
            seen += element.text is not None
            if element.tag in ("Child", "CHILD"):
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
    return {"read": time.perf_counter() - begin}


def ours(contract: Contract, home: Path, memory_limit: str) -> dict:
    from linked_cyp.identity.keys import create_master_key
    from linked_cyp.ingest.deliveries import ingest
    from linked_cyp.ingest.landing import identify
    from linked_cyp.pseudonymise.deliveries import pseudonymise_delivery
    from linked_cyp.pseudonymise.reference import load_postcodes
    from linked_cyp.stores.door import Stores

    settings = Settings.from_environment()
    settings.key_file.parent.mkdir(mode=0o700)
    create_master_key(settings.key_file)
    stores = Stores(settings)
    folder = delivery_files(contract, home)[0].parent
    begin = time.perf_counter()
    landed = identify(folder, {contract.feed: contract})
    with stores.connect(identifiable="rw", memory_limit=memory_limit) as con:
        outcome = ingest(con, contract, landed, settings.work)
    raw, raw_peak = time.perf_counter(), peak()
    if outcome.status != "accepted" or outcome.quarantined:
        raise SystemExit(f"{contract.feed}: {outcome.status}, {outcome.reason}")
    with stores.connect(identifiable="ro", warehouse="rw", memory_limit=memory_limit) as con:
        pseudonymise_delivery(
            con, contract, landed.delivery_id, stores.keys(), load_postcodes(settings.postcodes)
        )
    return {
        "raw": raw - begin,
        "pseudonymised": time.perf_counter() - raw,
        "raw_peak_mb": raw_peak,
    }


def peak() -> float:
    """Peak resident memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def line(result: dict) -> str:
    """One result on one line, for the terminal."""
    bare, mine = result["bare"], result["ours"]
    return (
        f"{result['feed']:<22} {result['form']:<4} {result['rows']:>9,} rows"
        f" {result['megabytes']:6.1f} MB: bare {bare['total']:.2f} s, raw {mine['raw']:.2f}"
        f" + pseudonymised {mine['pseudonymised']:.2f} s = {mine['total'] / bare['total']:.1f}"
        f" of bare ({mine['cpu'] / bare['cpu']:.1f} of processor);"
        f" peak {bare['peak_mb']:.0f}, {mine['peak_mb']:.0f} MB"
    )


def markdown(results: list[dict]) -> str:
    """Each feed and form at its largest size, as multiples of the yardstick, and its growth."""
    lines = [
        "| feed | form | rows | MB | bare s | of bare | of bare, processor | peak MB, bare "
        "| peak MB, ours | time grows as n to the |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for feed, form in dict.fromkeys((r["feed"], r["form"]) for r in results):
        mine = [r for r in results if (r["feed"], r["form"]) == (feed, form)]
        first, last = (pick(mine, key=lambda r: r["rows"]) for pick in (min, max))
        bare, ours_ = last["bare"], last["ours"]
        power = growth(*((r["rows"], r["ours"]["cpu"]) for r in (first, last)))
        lines.append(
            f"| {feed} | {form} | {last['rows']:,} | {last['megabytes']:.1f} |"
            f" {bare['total']:.2f} | {ours_['total'] / bare['total']:.1f} |"
            f" {ours_['cpu'] / bare['cpu']:.1f} | {bare['peak_mb']:.0f} |"
            f" {ours_['peak_mb']:.0f} | {power} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
