"""Invented deliveries of every feed, in every form that it comes in, for :mod:`benchmarks.ingest`.

Values are made from the contract alone: codes from its code lists, dates in its own format, numbers
that repeat every third row where something is somebody's.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import duckdb

from linked_cyp.contracts.model import Column, Contract, Table

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
# Forms beside the one that the contract's reader and delimiter say.
OTHER_FORMS = {"ssda903": ("xml",), "npd_attainment": ("tab", "zip")}
# Rows that one invented child has in the XML returns, over all tables.
ROWS_OF_A_CHILD = {"cin_census": 9, "ssda903": 6}


def forms(contract: Contract) -> tuple[str, ...]:
    """What a feed comes as: csv, tab, list, zip or xml; its usual form first."""
    usual = {"cin_xml": "xml", "number_list": "list"}.get(contract.reader)
    usual = usual or ("tab" if contract.delimiter == "\t" else "csv")
    return (usual, *OTHER_FORMS.get(contract.feed, ()))


def delivery_files(contract: Contract, home: Path) -> list[Path]:
    period = PERIODS[contract.period_kind]
    return sorted((home / "landing" / SUPPLIER / contract.feed / period).iterdir())


def invent(contract: Contract, form: str, rows: int, home: Path) -> float:
    """Write one delivery of about ``rows`` rows, evenly among its tables; its size in MB."""
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
        if form == "xml":
            children = max(1, rows // ROWS_OF_A_CHILD[contract.feed])
            write = {"cin_census": cin_lines, "ssda903": ssda903_lines}[contract.feed]
            with (folder / f"{contract.feed}.xml").open("w", encoding="utf-8") as file:
                file.writelines(write(children))
        else:
            write_tables(con, contract, form, rows, folder)
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def write_tables(
    con: duckdb.DuckDBPyConnection, contract: Contract, form: str, rows: int, folder: Path
) -> None:
    """One text file for each table, side by side or in one zip file."""
    tables = contract.at(YEAR).tables.values()
    ending, delimiter = (".tab", "\t") if form == "tab" else (".csv", ",")
    for table in tables:
        con.execute(
            f"COPY (SELECT {', '.join(invented(contract, table))} "
            f"FROM range({max(1, rows // len(tables))}) r(i))"
            f" TO '{folder / (table.physical_name + ending)}' "
            f"(HEADER {str(form != 'list').lower()}, DELIM '{delimiter}')"
        )
    if form == "zip":
        texts = sorted(folder.iterdir())
        with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            for path in texts:
                packed.write(path, path.name)
                path.unlink()


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
    text = f"'text ' || ({number} % 977)"
    return text if column.required else f"CASE WHEN {number} % 4 > 0 THEN {text} END"


def written(contract: Contract, column: Column, date: str) -> str:
    formats = column.date_formats or contract.date_formats or ("%Y-%m-%d",)
    return f"strftime({date}, '{formats[0]}')"


def cin_lines(children: int) -> Iterator[str]:
    """A children in need return: header, identifiers and seven rows of events for each child."""
    yield (
        "<Message><Header><CollectionDetails><Collection>CIN</Collection><Year>2025</Year>"
        "</CollectionDetails><Source><LEA>304</LEA></Source></Header><Children>\n"
    )
    for n in range(children):
        day = f"2024-{1 + n % 12:02d}-{1 + n % 28:02d}"
        yield (
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
    yield "</Children></Message>\n"


def ssda903_lines(children: int) -> Iterator[str]:
    """A looked-after children return: header, two episodes, a review, an outcome and an absence."""
    yield "<EXPSSDA903>\n"
    for n in range(children):
        start, change = f"{1 + n % 28:02d}/04/2024", f"{1 + n % 28:02d}/10/2024"
        placed = "<LS>C2</LS><CIN>N1</CIN><PL>U1</PL><PLACE_PROVIDER>PR1</PLACE_PROVIDER>"
        homes = "<HOME_POST>BN1 1AB</HOME_POST><PL_POST>BN2 2AB</PL_POST>"
        yield (
            f"<CHILD><HEADER><CHILDID>K{n}</CHILDID><SEX>1</SEX><DOB>02/01/{2008 + n % 16}</DOB>"
            f"<ETHNIC>WBRI</ETHNIC><UPN>A{n:012d}</UPN><UASC>0</UASC>"
            f"<AREVIEW><REVIEW>{change}</REVIEW><REVIEW_CODE>PN1</REVIEW_CODE></AREVIEW>"
            f"<AMISSING><MISSING>M</MISSING><MIS_START>{start}</MIS_START>"
            f"<MIS_END>{start}</MIS_END></AMISSING>"
            "<OC2><SDQ_SCORE>12</SDQ_SCORE><CONVICTED>0</CONVICTED><HEALTH_CHECK>1</HEALTH_CHECK>"
            "<IMMUNISATIONS>1</IMMUNISATIONS><TEETH_CHECK>1</TEETH_CHECK></OC2></HEADER>"
            f"<EPISODE><DECOM>{start}</DECOM><RNE>S</RNE>{placed}<DEC>{change}</DEC><REC>X1</REC>"
            f"<REASON_PLACE_CHANGE>CARPL</REASON_PLACE_CHANGE>{homes}</EPISODE>"
            f"<EPISODE><DECOM>{change}</DECOM><RNE>P</RNE>{placed}{homes}</EPISODE></CHILD>\n"
        )
    yield "</EXPSSDA903>\n"
