"""Landing to raw to pseudonymised, per feed, against the barest read of the same files.

    python -m benchmarks.ingest --rows 20000 200000

Deliveries are invented from the contracts, so every feed can be made at any size. The yardstick is
DuckDB's ``read_csv`` into a new table of a file, table by table, nothing checked or kept; for XML
a walk over every element with lxml. Each measurement is a process of its own: wall time after
imports, processor time (less disturbed by other work on the machine), and the peak of its resident
memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table as Grid

from linked_cyp.contracts import Column, Contract, Table, load_contracts
from linked_cyp.settings import PROJECT_ROOT, Settings

YEAR = 2025
PERIODS = {
    "financial_year": "2025",
    "academic_year": "2025",
    "calendar_year": "2025",
    "academic_term": "2025-spring",
    "month": "2025-03",
    "snapshot": "2025-03-31",
}
SUPPLIER = "bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--feed", action="append", help="by default every feed")
    parser.add_argument("--memory-limit", default="2GB", help="DuckDB's own limit, for ours")
    parser.add_argument("--json", type=Path, help="write the measurements here too")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        what, feed, home = arguments.child
        print(json.dumps(measure(what, feed, Path(home), arguments.memory_limit)))
        return
    contracts = load_contracts(PROJECT_ROOT / "data_contracts")
    results = []
    for feed in arguments.feed or contracts:
        for rows in arguments.rows:
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                home = Path(folder)
                size = invent(contracts[feed], rows, home)
                done = {w: child(w, feed, home, arguments.memory_limit) for w in ("bare", "ours")}
            results.append({"feed": feed, "rows": rows, "megabytes": size, **done})
            report(results[-1:])
    report(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


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
    run = ours if what == "ours" else bare_xml if contract.reader == "cin_xml" else bare_csv
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
        for number, path in enumerate(delivery_files(contract, home)):
            con.execute(f"CREATE TABLE t{number} AS FROM read_csv('{path}')")
    return {"read": time.perf_counter() - begin}


def bare_xml(contract: Contract, home: Path, memory_limit: str) -> dict:
    from lxml import etree

    begin = time.perf_counter()
    seen = 0
    for path in delivery_files(contract, home):
        for _, element in etree.iterparse(str(path), events=("end",)):
            seen += element.text is not None
            if element.tag == "Child":
                element.clear()
                while element.getprevious() is not None:
                    del element.getparent()[0]
    return {"read": time.perf_counter() - begin}


def ours(contract: Contract, home: Path, memory_limit: str) -> dict:
    from linked_cyp.deliveries import identify, ingest
    from linked_cyp.keys import create_master_key
    from linked_cyp.pseudonymise import pseudonymise_delivery
    from linked_cyp.reference import load_postcodes
    from linked_cyp.stores import Stores

    settings = Settings.from_environment()
    settings.key_file.parent.mkdir(mode=0o700)
    create_master_key(settings.key_file)
    stores = Stores(settings)
    folder = delivery_files(contract, home)[0].parent
    begin = time.perf_counter()
    landed = identify(folder, settings.landing, {contract.feed: contract})
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


def report(results: list[dict]) -> None:
    grid = Grid("feed", "rows", "MB", "bare s", "raw s", "pseudonymised s", "ratio", "cpu ratio",
                "bare MB", "raw MB", "ours MB")  # fmt: skip
    for r in results:
        bare, mine = r["bare"], r["ours"]
        grid.add_row(
            r["feed"],
            f"{r['rows']:,}",
            f"{r['megabytes']:.1f}",
            f"{bare['total']:.2f}",
            f"{mine['raw']:.2f}",
            f"{mine['pseudonymised']:.2f}",
            f"{mine['total'] / bare['total']:.2f}",
            f"{mine['cpu'] / bare['cpu']:.2f}",
            f"{bare['peak_mb']:.0f}",
            f"{mine['raw_peak_mb']:.0f}",
            f"{mine['peak_mb']:.0f}",
        )
    Console().print(grid)


def delivery_files(contract: Contract, home: Path) -> list[Path]:
    period = PERIODS[contract.period_kind]
    return sorted((home / "landing" / SUPPLIER / contract.feed / period).iterdir())


def invent(contract: Contract, rows: int, home: Path) -> float:
    """Write one delivery, ``rows`` rows in each table (children, for XML); its size in MB."""
    folder = home / "landing" / SUPPLIER / contract.feed / PERIODS[contract.period_kind]
    folder.mkdir(parents=True)
    reference = home / "reference"
    reference.mkdir()
    with duckdb.connect() as con:
        con.execute(
            "COPY (SELECT printf('BN%d %d', 1 + i // 1000, i % 10) || 'AB' AS pcds, "
            "'E01' || lpad((i % 900)::VARCHAR, 6, '0') AS lsoa11, 'E01' || "
            "lpad((i % 900)::VARCHAR, 6, '0') AS lsoa21, 'E09000005' AS oslaua "
            f"FROM range(3000) r(i)) TO '{reference / 'postcodes.csv'}' (HEADER)"
        )
        if contract.reader == "cin_xml":
            invent_xml(folder / "CIN_2025.xml", rows)
        else:
            for table in contract.at(YEAR).tables.values():
                con.execute(
                    f"COPY (SELECT {', '.join(invented(contract, table))} FROM range({rows}) r(i))"
                    f" TO '{folder / (table.physical_name + '.csv')}' "
                    f"(HEADER, DELIM '{contract.delimiter}')"
                )
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def invented(contract: Contract, table: Table) -> list[str]:
    """SQL of each column's invented text; ``i`` numbers the rows."""
    names = [n.replace('"', '""') for n in (c.physical_name for c in table.columns)]
    return [
        f'{value(contract, table, column, place)} AS "{name}"'
        for place, (column, name) in enumerate(zip(table.columns, names, strict=True))
    ]


def value(contract: Contract, table: Table, column: Column, place: int) -> str:
    number = f"((i * {7919 + 2 * place} + {place}) % 1000003)"
    if table.primary_key and column.name == table.primary_key[-1]:
        unique = {
            "date": written(contract, column, "DATE '1990-01-01' + (i % 12000)::INTEGER"),
            "timestamp": written(contract, column, "DATE '1990-01-01' + (i % 12000)::INTEGER"),
            "integer": "i",
        }
        return unique.get(column.type, "'K' || i")
    if column.name in table.primary_key or column.name.endswith("_id"):
        return "i // 3" if column.type in ("integer", "number") else "'K' || (i // 3)"
    match column.linkage_role or column.identifier_type:
        case "nhs_number":
            return "(9990000000 + i // 3)::VARCHAR"
        case "upn" | "former_upn":
            return "'A' || lpad((i // 3)::VARCHAR, 12, '0')"
        case "postcode":
            return "printf('BN%d %d', 1 + (i % 3000) // 1000, i % 10) || 'AB'"
        case "forename" | "surname" | "middle_names" | "former_surname" | "preferred_surname":
            return f"'Name' || ({number} % 5000)"
    if column.codeset and column.type == "string" and column.codeset.values:
        codes = ", ".join("'" + c.replace("'", "''") + "'" for c in column.codeset.values)
        return f"[{codes}][1 + {number} % {len(column.codeset.values)}]"
    match column.type:
        case "integer":
            return f"{number} % 400"
        case "number":
            return f"({number} % 400) / 4.0"
        case "boolean":
            return f"[1, 0][1 + {number} % 2]"
        case "date" | "timestamp":
            return written(contract, column, f"DATE '2008-01-01' + ({number} % 6000)::INTEGER")
    return f"CASE WHEN {number} % 4 > 0 THEN 'text ' || ({number} % 977) END"


def written(contract: Contract, column: Column, date: str) -> str:
    formats = column.date_formats or contract.date_formats or ("%Y-%m-%d",)
    return f"strftime({date}, '{formats[0]}')"


def invent_xml(path: Path, children: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(
            "<Message><Header><CollectionDetails><Collection>CIN</Collection><Year>2025</Year>"
            "</CollectionDetails><Source><LEA>304</LEA></Source></Header><Children>\n"
        )
        for n in range(children):
            day = f"2024-{1 + n % 12:02d}-{1 + n % 28:02d}"
            file.write(
                f"<Child><ChildIdentifiers><LAchildID>K{n}</LAchildID><UPN>A{n:012d}</UPN>"
                f"<PersonBirthDate>{2008 + n % 16}-01-02</PersonBirthDate><Sex>F</Sex>"
                "</ChildIdentifiers><ChildCharacteristics><Ethnicity>WBRI</Ethnicity>"
                "<Disabilities><Disability>NONE</Disability></Disabilities>"
                f"</ChildCharacteristics><CINdetails><CINreferralDate>{day}</CINreferralDate>"
                "<ReferralSource>1A</ReferralSource><PrimaryNeedCode>N1</PrimaryNeedCode>"
                f"<Assessments><AssessmentActualStartDate>{day}</AssessmentActualStartDate>"
                "<FactorsIdentifiedAtAssessment><AssessmentFactors>1B</AssessmentFactors>"
                "<AssessmentFactors>4B</AssessmentFactors></FactorsIdentifiedAtAssessment>"
                f"</Assessments><Section47><S47ActualStartDate>{day}</S47ActualStartDate>"
                "<ICPCnotRequired>0</ICPCnotRequired></Section47><ReferralNFA>0</ReferralNFA>"
                f"<ChildProtectionPlans><CPPstartDate>{day}</CPPstartDate>"
                "<InitialCategoryOfAbuse>NEG</InitialCategoryOfAbuse><Reviews>"
                f"<CPPreviewDate>{day}</CPPreviewDate></Reviews></ChildProtectionPlans>"
                "</CINdetails></Child>\n"
            )
        file.write("</Children></Message>\n")


if __name__ == "__main__":
    main()
