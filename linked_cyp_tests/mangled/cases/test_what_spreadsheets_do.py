"""Files as spreadsheets, exports and people spoil them, against the real contracts.

Each case was read wrongly once, without a word. What must hold: the rows are those of the clean
file, or the delivery is refused and the reason names what is wrong.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from secrets import token_bytes
from xml.sax.saxutils import escape
from zipfile import ZipFile

import duckdb
import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.tokenise import record_key_table
from linked_cyp.ingest.deliveries import DeliveryOutcome, ingest
from linked_cyp.ingest.landing import data_files, discover
from linked_cyp.ingest.ledger import allow_worse
from linked_cyp.ingest.readers import SourceFile
from linked_cyp.supplier.validation import validate

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")
HEADER = "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB\n"
CHILDREN = "201,F,14/03/2010,WBRI,UN3,,\n202,M,05/06/2011,WBRI,UN3,,\n203,F,29/09/2012,WBRI,UN3,,\n"
EPISODES = (
    "CHILD,DECOM,RNE,LS,CIN,PLACE,PLACE_PROVIDER,DEC,REC,REASON_PLACE_CHANGE,HOME_POST,PL_POST,URN\n"
    "201,02/04/2024,S,C2,N1,U1,PR1,,,,,,\n202,03/05/2024,S,C2,N1,U1,PR1,,,,,,\n"
    "203,04/06/2024,S,C2,N1,U1,PR1,05/07/2024,E4A,,,,\n"
)
BORN = [dt.date(2010, 3, 14), dt.date(2011, 6, 5), dt.date(2012, 9, 29)]
CLEAN = [(str(201 + n), "FMF"[n], BORN[n], "WBRI") for n in range(3)]


class Office:
    """An identifiable store in memory that takes what lands, and asks the supplier's check too."""

    asks_validate = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.con = duckdb.connect(config={"threads": 1})
        self.con.execute("ATTACH ':memory:' AS identifiable")

    def take(
        self, files: Mapping[str, str | bytes], feed: str = "ssda903", period: str = "2025"
    ) -> DeliveryOutcome:
        folder = self.root / "landing" / "la1" / feed / period
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        (landed,) = [
            d
            for d in discover(self.root / "landing", CONTRACTS)
            if (d.feed, d.version or d.period) == (feed, period.split("__")[-1])
        ]
        outcome = ingest(self.con, CONTRACTS[feed], landed, self.root / "work")
        if files and landed.problem is None and self.asks_validate:
            assert would_be_taken(folder, feed, outcome.period) == (outcome.reason is None)
        return outcome

    def rows(self, table: str, columns: str) -> list[tuple]:
        return self.con.execute(
            f"SELECT {columns} FROM identifiable.raw.{table} ORDER BY row_number"
        ).fetchall()

    def rules(self) -> set[str]:
        found = self.con.execute("SELECT DISTINCT rule FROM identifiable.quarantine.rejected")
        return {rule for (rule,) in found.fetchall()}

    def children(self) -> list[tuple]:
        return self.rows("ssda903__header", "child_id, sex_code, birth_date, ethnicity_code")


def would_be_taken(folder: Path, feed: str, period: str) -> bool:
    """Whether the supplier, who checks the same folder before sending it, is told that it is."""
    files = [SourceFile(n, path.name, path) for n, path in enumerate(data_files(folder))]
    report = validate(CONTRACTS[feed], files, CONTRACTS[feed].collection_year(period))
    assert report.acceptable <= (not report.is_refused)
    return not report.is_refused


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.con.close()


def respelt(*pairs: tuple[str, str]) -> str:
    text = CHILDREN
    for old, new in pairs:
        text = text.replace(old, new)
    return HEADER + text


AS_CLEAN = {
    "a blank first line": "\n" + HEADER + CHILDREN,
    "a title": "Looked after children 2025\n\n" + HEADER + CHILDREN,
    "the separator's line": "sep=,\n" + HEADER + CHILDREN,
    "a total": HEADER + CHILDREN + "Total,3,,,,,\n",
    "a total without delimiters": HEADER + CHILDREN + "Grand total: 3\n",
    "a footer": HEADER + CHILDREN + "Report run on 02/04/2025 by the system,,,,,,\n",
    "the header again": HEADER + CHILDREN[:28] + HEADER + CHILDREN[28:],
    "the end-of-file mark": HEADER + CHILDREN + "\x1a",
    "short lines": HEADER + CHILDREN.replace(",UN3,,", ""),
    "small letters": respelt(("F,", "f,"), ("M,", "m,"), ("WBRI", "wbri")),
    "labels after codes": respelt(("WBRI", "WBRI - White British")),
    "ids with a fraction": respelt(("20", "20"), ("201,", "201.0,"), ("202,", "202.0,")),
    "ids as formulas": respelt(("201,F", '"=""201""",F')),
    "ids as text": respelt(("201,F", "'201,F")),
    "ids with leading zeros": respelt(("201,F", "00201,F"), ("202,M", "00202,M")),
    "ids with what is not seen": respelt(("201,F", "\u200b201\u00a0,F")),
    "dates with midnight": respelt(("/2010", "/2010 00:00:00"), ("/2011", "/2011 00:00:00")),
    "dates in ISO with fractions": respelt(("14/03/2010", "2010-03-14T00:00:00.0000000")),
    "dates at another zone's midnight": respelt(("05/06/2011", "2011-06-04T23:00:00Z")),
    "month before day": respelt(
        ("14/03/2010", "03/14/2010"), ("05/06/2011", "06/05/2011"), ("29/09/2012", "09/29/2012")
    ),
}


@pytest.mark.parametrize("content", AS_CLEAN.values(), ids=AS_CLEAN.keys())
def test_what_is_spoilt_so_is_read_as_if_it_were_not(office: Office, content: str) -> None:
    outcome = office.take({"header.csv": content, "episodes.csv": EPISODES})
    assert (outcome.status, outcome.reason) == ("accepted", None)
    assert office.children() == CLEAN
    ids = office.rows("ssda903__episodes", "child_id")
    assert ids == [("201",), ("202",), ("203",)]


def test_thousands_are_no_other_child(office: Office) -> None:
    header = HEADER + '"1,201",F,14/03/2010,WBRI,UN3,,\n'
    outcome = office.take({"header.csv": header, "episodes.csv": EPISODES.replace("201,", "1201,")})
    assert outcome.status == "accepted"
    assert office.rows("ssda903__header", "child_id") == [("1201",)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (respelt(("/2010", "/10"), ("/2011", "/11"), ("/2012", "/12")), "birth_date"),
        (respelt(("14/03/2010", "40251"), ("05/06/2011", "40699")), "birth_date"),
        (respelt(("14/03/2010", "14/03/2110"), ("05/06/2011", "05/06/2111")), "birth_date"),
        (respelt(("WBRI", "White")), "ethnicity_code"),
        (HEADER.replace("CHILD,", "KID,") + CHILDREN, "column CHILD"),
        (respelt(("201,", "A77,"), ("202,", "A78,"), ("203,", "A79,")), "have no row in header"),
    ],
    ids=["two-digit years", "serial numbers", "a century ahead", "no code", "no column", "ids"],
)
def test_what_cannot_be_known_is_refused_and_named(office, content: str, reason: str) -> None:
    outcome = office.take({"header.csv": content, "episodes.csv": EPISODES})
    assert outcome.status == "rejected"
    assert reason in (outcome.reason or "")
    assert office.children() == []


def test_a_mixed_order_of_day_and_month_is_no_guess(office: Office) -> None:
    mixed = respelt(("14/03/2010", "03/14/2010"), ("05/06/2011", "06/05/2011"))
    many = mixed + "".join(
        f"{n},F,14/03/2010,WBRI,UN3,,\n03".removesuffix("03") for n in (204, 205)
    )
    many += "206,F,03/15/2010,WBRI,UN3,,\n"
    outcome = office.take({"header.csv": many, "episodes.csv": EPISODES})
    assert outcome.status == "rejected"
    assert "header.birth_date" in (outcome.reason or "")


def test_a_row_of_nobody_is_set_aside(office: Office) -> None:
    filled = HEADER + CHILDREN * 1 + "Smith family,F,,WBRI,UN3,,\n"
    outcome = office.take({"header.csv": filled, "episodes.csv": EPISODES})
    assert outcome.status == "rejected"  # one in four rows
    assert "row__nobody" in office.rules()


def test_a_line_that_lost_a_field_in_its_middle_is_not_padded(office: Office) -> None:
    outcome = office.take(
        {"header.csv": HEADER + CHILDREN.replace("F,", ""), "episodes.csv": EPISODES}
    )
    assert outcome.status == "rejected"
    assert "row__structure" in office.rules()


def test_files_in_one_folder_below_are_the_delivery(office: Office) -> None:
    outcome = office.take({"out/header.csv": HEADER + CHILDREN, "out/episodes.csv": EPISODES})
    assert outcome.status == "accepted"
    assert office.children() == CLEAN


def test_a_folder_beside_the_files_refuses_the_delivery(office: Office) -> None:
    outcome = office.take({"header.csv": HEADER + CHILDREN, "more/episodes.csv": EPISODES})
    assert outcome.status == "rejected"
    assert "not read" in (outcome.reason or "")


def test_what_lies_elsewhere_in_landing_is_named(tmp_path: Path) -> None:
    for place in ("loose.csv", "la1/loose.csv", "la1/ssda903/loose.csv", "la1/ssda903/2025/a.part"):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    told: dict[str, str] = {}
    discover(tmp_path, CONTRACTS, on_problem=lambda p, why: told.__setitem__(p.name, why))
    assert {"loose.csv", "a.part"} <= told.keys()


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("guidance.pdf", b"%PDF-1.7 guidance", "file__document"),
        ("guidance.xlsx", b"PK\x03\x04 broken", None),
        ("notes.txt", b"call Anna back", "file__unrecognised"),
    ],
)
def test_a_stray_file_is_called_what_it_is_and_does_no_harm(office, name, content, rule) -> None:
    files = {"header.csv": HEADER + CHILDREN, "episodes.csv": EPISODES, name: content}
    outcome = office.take(files)
    if rule is None:  # packed, and nobody knows what was in it
        assert outcome.status == "rejected"
        return
    assert outcome.status == "accepted"
    assert rule in office.rules()


def test_an_unreadable_file_called_like_a_table_refuses_the_delivery(office: Office) -> None:
    files = {
        "header.csv": HEADER + CHILDREN,
        "episodes.csv": EPISODES,
        "uasc.csv": "nothing\nhere\n",
    }
    assert office.take(files).status == "rejected"


def test_a_locked_workbook_is_called_locked(office: Office) -> None:
    locked = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le")
    )
    outcome = office.take(
        {"header.csv": HEADER + CHILDREN, "episodes.csv": EPISODES, "more.xlsx": locked}
    )
    assert "file__workbook_locked" in (outcome.reason or "")


def workbook(path: Path, sheets: Mapping[str, list[list[str | int | dt.date]]]) -> bytes:
    """A workbook as spreadsheets write it: numbers as numbers, dates as days with a style."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    names = "".join(
        f'<sheet name="{n}" sheetId="{i}" r:id="r{i}"/>' for i, n in enumerate(sheets, 1)
    )
    links = "".join(
        f'<Relationship Id="r{i}" Type="{office}/worksheet" Target="worksheets/s{i}.xml"/>'
        for i, _ in enumerate(sheets, 1)
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" '
        f'ContentType="{kinds}.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="a" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{names}</sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">{links}'
        f'<Relationship Id="s" Type="{office}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/>'
        '<xf numFmtId="14"/></cellXfs></styleSheet>',
    }
    for number, rows in enumerate(sheets.values(), 1):
        lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
        parts[f"xl/worksheets/s{number}.xml"] = (
            f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>'
        )
    with ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return path.read_bytes()


def cell(value: str | int | dt.date) -> str:
    if isinstance(value, dt.date):
        return f'<c s="1"><v>{(value - dt.date(1899, 12, 30)).days}</v></c>'
    if isinstance(value, int):
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def test_the_sheets_of_a_workbook_are_tables(office: Office, tmp_path: Path) -> None:
    def sheet(text: str, born: bool) -> list[list[str | int | dt.date]]:
        head, *lines = (line.split(",") for line in text.splitlines())
        rows: list[list[str | int | dt.date]] = [
            [int(line[0]), line[1], BORN[n] if born else line[2], *line[3:]]
            for n, line in enumerate(lines)
        ]
        return [list(head), *rows]

    sheets = {"Header": sheet(HEADER + CHILDREN, True), "Episodes": sheet(EPISODES, False)}
    outcome = office.take({"return.xlsx": workbook(tmp_path / "made.xlsx", sheets)})
    assert (outcome.status, outcome.reason) == ("accepted", None)
    assert office.children() == CLEAN


def census(*pupils: str) -> dict[str, str]:
    head = "pupilonrolltableid,schoolcensustableid,NativeId,upn,surname,forename,dob,sex\n"
    return {"2025_spring_pupilonroll.csv": head + "".join(f"{p}\n" for p in pupils)}


@pytest.mark.parametrize("word", ["TBC", "tba", "N/K", "\\N", "H1", "9.99E+09"])
def test_what_is_no_upn_makes_no_person_of_many(office: Office, word: str) -> None:
    pupils = [f"p{n},c1,9912001,{word},Ash{n},Bo{n},2012-02-0{n},F" for n in range(1, 4)]
    outcome = office.take(census(*pupils), "school_census", "2025-spring")
    if outcome.status == "rejected":
        assert "upn" in (outcome.reason or "")
        return
    table = CONTRACTS["school_census"].tables["pupil_on_roll"]
    record_key_table(
        office.con, CONTRACTS["school_census"], table, Keys(token_bytes(32)), [outcome.delivery_id]
    )
    found = office.con.execute("SELECT count(DISTINCT record_key) FROM record_keys").fetchone()
    assert found == (3,)


def test_a_pupil_who_left_two_schools_is_kept_twice(office: Office) -> None:
    files = census("p1,c1,9912001,,Ash,Bo,2012-02-01,F")
    files["2025_spring_pupilnolongeronroll.csv"] = (
        "pupilnolongeronrolltableid,NativeId,upn,surname,forename,dob,leavingdate\n"
        "k1,9912001,,Elm,Cy,2012-Jan-21 00:00:00,2024-Dec-03 00:00:00\n"
        "k1,9912002,,Elm,Cy,2012-Jan-21 00:00:00,2025-Mar-03 00:00:00\n"
    )
    outcome = office.take(files, "school_census", "2025-spring")
    assert outcome.table("pupil_no_longer_on_roll").accepted == 2


def test_a_name_decoded_twice_is_mended(office: Office) -> None:
    files = census("p1,c1,9912001,,\u00c3\u0081lvarez,Zo\u00c3\u00ab,2012-02-01,F")
    office.take(files, "school_census", "2025-spring")
    assert office.rows("school_census__pupil_on_roll", "surname, forename") == [
        ("\u00c1lvarez", "Zo\u00eb")
    ]


@pytest.mark.parametrize(
    ("written", "read"), [("2024.0", "2024"), ("2023 to 2024", "2023/2024"), ("2324", "2023/2024")]
)
def test_school_years_in_any_spelling(office: Office, written: str, read: str) -> None:
    text = f"Phonics_ACADYR,Phonics_UPN,Phonics_DOB\n{written},,01/02/2018\n{written},,02/02/2018\n"
    office.take({"phonics.csv": text}, "npd_attainment", "2024")
    assert office.rows("npd_attainment__phonics", "academic_year_text") == [(read,), (read,)]


def test_the_second_character_of_an_ethnic_category_is_local() -> None:
    from linked_cyp.ingest.readers.spelling import code_reading

    table = CONTRACTS["sus_apc"].tables["spell"]
    read = code_reading(table.column("ethnicity_code").codeset)
    assert [read(text) for text in ("A1", "zz", "99", "Q1")] == ["A", "Z", "99", None]


def test_a_reply_may_begin_with_a_blank_line(office: Office) -> None:
    outcome = office.take(
        {"reply.csv": "\r\n9990001065\r\n9990001456\r\n"}, "national_data_opt_out", "2025-09-30"
    )
    assert outcome.status == "accepted"
    assert len(office.rows("national_data_opt_out__remaining", "*")) == 2


def test_a_delivery_read_worse_than_the_one_it_replaces_is_refused_unless_told(office) -> None:
    many = "".join(f"{n},F,{n % 28 + 1:02}/03/2010,WBRI,UN3,,\n" for n in range(201, 301))
    spoilt = many.replace("201,F", "201,Q").replace("202,F", "202,Q").replace("203,F", "203,Q")
    episodes = EPISODES
    office.take({"header.csv": HEADER + many, "episodes.csv": episodes})
    office.asks_validate = False  # which knows no earlier delivery
    worse = office.take({"header.csv": HEADER + spoilt, "episodes.csv": episodes}, period="2025__2")
    assert worse.status == "rejected"
    assert "header.sex_code: 3 values cannot be read" in (worse.reason or "")
    allow_worse(office.con, worse.delivery_id, "the supplier confirmed three corrected records")
    again = office.take({}, period="2025__2")
    assert again.status == "accepted"
