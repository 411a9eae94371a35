"""Delimited files as real systems export them: what is read, what is set aside, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from linked_cyp.ingest.readers.conform import shape
from linked_cyp.ingest.readers.repair import LONGEST_LINE
from linked_cyp_tests.deliveries_support import (
    NOTE,
    PUPIL,
    VISIT,
    contract,
    land,
    memory_store,
    quarantined,
    rows,
    take,
)

HEADER = "PUPIL_ID,SURNAME,BIRTH_DATE,SESSIONS,IS_FUNDED,SCORE\n"
GOOD = "A1,Ng,02/01/2010,10.0,True,1.5\n"


@pytest.fixture
def con():
    connection = memory_store()
    yield connection
    connection.close()


def read(con, tmp_path: Path, content: str | bytes, name: str = "pupils.csv", **more):
    return take(con, contract(**more), land(tmp_path / "landing", {name: content}))


def test_values_become_the_contracts_types(con, tmp_path):
    outcome = read(con, tmp_path, HEADER + GOOD)
    assert outcome.status == "accepted"
    assert rows(con, "toy__pupil") == [
        (outcome.delivery_id, 1, 0, "A1", "Ng", date(2010, 1, 2), 10, True, 1.5, None)
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_every_accepted_encoding_keeps_names_whole(con, tmp_path, encoding):
    name = "Zoë Ng" if encoding == "cp1252" else "Zoë Ōtā"
    read(con, tmp_path, (HEADER + GOOD.replace("Ng", name)).encode(encoding))
    assert rows(con, "toy__pupil", "surname") == [(name,)]
    held = con.execute("SELECT encoding FROM identifiable.ledger.delivery_file").fetchone()
    assert held == (encoding,)


def test_bytes_of_no_encoding_reject_the_delivery_without_rows(con, tmp_path):
    outcome = read(con, tmp_path, HEADER.encode() + b"A1,\x81\x8d\xff,02/01/2010,1,1,1\n")
    assert (outcome.status, outcome.received, outcome.accepted) == ("rejected", 1, 0)
    assert "file 0: file__encoding" in (outcome.reason or "")


@pytest.mark.parametrize(
    "content",
    [
        HEADER.replace("\n", "\r\n") + GOOD.replace("\n", "\r\n"),
        HEADER.replace("\n", "\r") + GOOD.replace("\n", "\r"),
        HEADER + "\n" + GOOD + "\n\n",
        HEADER + GOOD.rstrip("\n"),
        HEADER.replace("\n", ",,\n") + GOOD.replace("\n", ",,\n"),
        HEADER + GOOD.replace("\n", ",\n"),
        " pupil_id ,Surname,BIRTH DATE,sessions,is_funded,SCORE\n".replace(" D", "_D") + GOOD,
        HEADER.replace(",", ";") + GOOD.replace(",", ";"),
        HEADER.replace(",", "\t") + GOOD.replace(",", "\t"),
        HEADER.replace("SURNAME", '"LastName"') + GOOD.replace("Ng", '"Ng"'),
        "UNASKED,".join(["", HEADER]) + "secret," + GOOD,
    ],
    ids=[
        "crlf", "cr", "blank lines", "no last line end", "unnamed columns", "one comma too many",
        "case and spaces", "semicolons", "tabs", "quotes and alias", "undeclared column",
    ],
)  # fmt: skip
def test_harmless_variations_are_read(con, tmp_path, content):
    outcome = read(con, tmp_path, content)
    assert (outcome.status, outcome.received, outcome.accepted) == ("accepted", 1, 1)
    assert rows(con, "toy__pupil", "row_number, pupil_id, surname, sessions") == [
        (1, "A1", "Ng", 10)
    ]


def test_undeclared_columns_are_dropped_and_named(con, tmp_path):
    outcome = read(con, tmp_path, "NOTES," + HEADER + "secret," + GOOD)
    assert outcome.files[0].undeclared == ("NOTES",)
    assert "secret" not in str(rows(con, "toy__pupil"))


def test_columns_not_taken_are_known_and_left_behind(con, tmp_path):
    pupil = replace(PUPIL, not_taken=("NOTES", "Other Notes", "Third Note", "4", "5", "6", "7"))
    header = "NOTES,OTHERNOTES,Third Note,4,5,6,7," + HEADER
    folder = land(tmp_path / "landing", {"x.csv": header + "secret,,,,,,," + GOOD})
    outcome = take(con, contract(pupil), folder)
    assert (outcome.files[0].tables, outcome.files[0].undeclared) == (("pupil",), ())
    assert "secret" not in str(rows(con, "toy__pupil"))


def test_a_name_with_a_pattern_in_it_is_only_a_name(con, tmp_path):
    folder = land(
        tmp_path / "landing",
        {"p*[1].csv": HEADER + GOOD, "p2[1].csv": HEADER + GOOD.replace("A1", "A2")},
    )
    outcome = take(con, contract(), folder)
    assert [f.rows for f in outcome.files] == [1, 1]
    assert rows(con, "toy__pupil", "source_file, row_number, pupil_id") == [
        (0, 1, "A1"),
        (1, 1, "A2"),
    ]


def test_a_broken_record_is_set_aside_and_row_numbers_stay_exact(con, tmp_path):
    lines = [
        GOOD,
        'A2,"Ng,02/01/2010,1,1,1\n',  # a quote left open
        GOOD.replace("A1", "A3"),
        "A4,Ng\n",  # too short
        "A5,Ng,02/01/2010,1,1,1,extra\n",  # too long
        'A6,"two\nlines",02/01/2010,1,1,1\n',
        "A7,N\0g,02/01/2010,1,1,1\n",
        GOOD.replace("A1", "A8"),
    ]
    outcome = read(con, tmp_path, HEADER + "".join(lines), share=0.9)
    assert rows(con, "toy__pupil", "row_number, pupil_id") == [
        (1, "A1"),
        (3, "A3"),
        (6, "A6"),
        (8, "A8"),
    ]
    assert [q for q in quarantined(con) if q[-1]] == [
        ("pupil", n, "row", None, "row__structure", 1) for n in (2, 4, 5, 7)
    ]
    assert (outcome.received, outcome.accepted, outcome.quarantined) == (8, 4, 4)
    assert rows(con, "toy__pupil", "surname")[2] == ("two\nlines",)


def test_a_line_without_end_is_cut_and_set_aside(con, tmp_path):
    endless = "A2," + "N" * (LONGEST_LINE + 100) + ",02/01/2010,1,1,1\n"
    content = HEADER + GOOD + endless + GOOD.replace("A1", "A3")
    outcome = read(con, tmp_path, content, share=0.9)
    assert rows(con, "toy__pupil", "row_number, pupil_id") == [(1, "A1"), (3, "A3")]
    assert quarantined(con) == [("pupil", 2, "row", None, "row__structure", 1)]
    assert (outcome.received, outcome.accepted, outcome.quarantined) == (3, 2, 1)


def test_rules_name_the_column_and_count_each_row_once(con, tmp_path):
    content = HEADER + "".join(
        [
            GOOD,
            ",Ng,31/02/2010,1,1,1\n",  # two rules, one row
            "A3,Ng,,1,1,1\n",
            "A4,Ng,02/01/2010,ten,maybe,1e999x\n",  # three cells
            ",,,,,\n",
            "A6,Ng,02/01/10,1,1,1\n",  # a two-digit year is not a date
        ]
    )
    outcome = read(con, tmp_path, content, share=0.9)
    assert quarantined(con) == [
        ("pupil", 2, "row", "birth_date", "birth_date__format", 0),
        ("pupil", 2, "row", "pupil_id", "pupil_id__required", 1),
        ("pupil", 3, "row", "birth_date", "birth_date__required", 1),
        ("pupil", 4, "cell", "is_funded", "is_funded__format", 0),
        ("pupil", 4, "cell", "score", "score__format", 0),
        ("pupil", 4, "cell", "sessions", "sessions__format", 0),
        ("pupil", 5, "row", None, "row__blank", 1),
        ("pupil", 6, "row", "birth_date", "birth_date__format", 1),
    ]
    counts = outcome.table("pupil")
    assert (counts.received, counts.accepted, counts.quarantined) == (6, 2, 4)
    assert counts.cells_blanked == 3


def test_the_first_of_equal_keys_is_kept(con, tmp_path):
    content = HEADER + GOOD + GOOD + GOOD.replace("Ng", "Li") + GOOD.replace("A1", "A2")
    read(con, tmp_path, content, share=0.9)
    assert rows(con, "toy__pupil", "row_number, surname") == [(1, "Ng"), (4, "Ng")]
    assert quarantined(con) == [
        ("pupil", 2, "row", "pupil_id", "row__duplicate", 1),
        ("pupil", 3, "row", "pupil_id", "key__unique", 1),
    ]


@pytest.mark.parametrize(
    ("content", "rule", "column"),
    [
        ("WHO,WHAT\n1,2\n3,4\n", "file__unrecognised", None),
        (HEADER.replace("BIRTH_DATE", "BORN") + GOOD, "file__column_missing", "birth_date"),
        (HEADER.replace("SCORE", "SURNAME") + GOOD, "file__column_repeated", "surname"),
        ("", "file__empty", None),
        ("\n\n", "file__empty", None),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_whole(con, tmp_path, content, rule, column):
    files = {"a.csv": HEADER + GOOD, "b.csv": content}
    outcome = take(con, contract(share=1), land(tmp_path / "landing", files))
    refused = outcome.files[1]
    assert (refused.rule, refused.column) == (rule, column)
    held = max(0, len(content.splitlines()) - 1)
    assert outcome.received == 1 + held
    # A file that is one of the tables refuses its delivery; what is none is left out of it.
    assert outcome.accepted == (0 if column else 1)
    assert outcome.quarantined == outcome.received - outcome.accepted


def test_a_header_without_rows_is_a_table_without_rows(con, tmp_path):
    outcome = read(con, tmp_path, HEADER.rstrip("\n"))
    assert (outcome.status, outcome.received) == ("accepted", 0)


def test_tables_are_told_apart_by_header_then_by_name(con, tmp_path):
    twins = (PUPIL, VISIT, NOTE, replace(NOTE, name="memo", physical_name="MEMO"))
    files = {
        "1.csv": HEADER + GOOD,
        "2.csv": "VISIT_DATE,PUPIL_ID\n2025-01-02,A1\n",
        "2025_memo.csv": "TEXT,OTHER\nx,y\n",
        "2025_note.csv": "TEXT,OTHER\nx,z\n",
    }
    outcome = take(con, contract(*twins), land(tmp_path / "landing", files))
    assert [f.tables for f in outcome.files] == [("pupil",), ("visit",), ("memo",), ("note",)]


def test_a_year_decides_what_is_required(con, tmp_path):
    sex = replace(PUPIL.columns[-1], required=True)
    pupil = replace(PUPIL, columns=(*PUPIL.columns[:-1], sex))
    feed = contract(pupil, VISIT)
    early = take(con, feed, land(tmp_path / "landing", {"p.csv": HEADER + GOOD}, name="2024"))
    late = take(con, feed, land(tmp_path / "landing", {"p.csv": HEADER + GOOD}, name="2025"))
    assert (early.status, late.status) == ("accepted", "rejected")
    assert late.files[0].column == "sex_code"


@pytest.mark.parametrize(
    ("written", "format_", "fits"),
    [
        ("2024-Oct-16 00:00:00", "%Y-%b-%d %H:%M:%S", True),
        ("16/10/2024", "%d/%m/%Y", True),
        ("16/10/24", "%d/%m/%Y", False),
        ("2024-10-16T09:30:00.123Z", "%Y-%m-%dT%H:%M:%S.%fZ", True),
        ("2024-10-16", "%d/%m/%Y", False),
    ],
)
def test_the_shape_of_a_date_format(written, format_, fits):
    assert bool(re.fullmatch(shape(format_), written)) is fits


def test_integers_are_not_rounded(con, tmp_path):
    values = ["10", "10.0", "+3", "-3.", "10.5", "1e3", "1_000", "99999999999999999999", "NULL"]
    body = "".join(f"A{i},Ng,02/01/2010,{v},,\n" for i, v in enumerate(values))
    read(con, tmp_path, HEADER + body)
    read_as = [r[0] for r in rows(con, "toy__pupil", "sessions")]
    assert read_as == [10, 10, 3, -3, None, None, None, None, None]
    assert [q[1] for q in quarantined(con)] == [5, 6, 7, 8]


def test_a_column_under_two_headers_gives_the_value_of_either(con, tmp_path):
    """A file that spans two versions of a standard has both; each row fills one."""
    header = "PUPIL_ID,LASTNAME,SURNAME,BIRTH_DATE\n"
    outcome = read(con, tmp_path, header + "A1, ,Ng,2010-01-02\nA2,Okoro,,2010-01-02\n")
    assert rows(con, "toy__pupil", "surname") == [("Ng",), ("Okoro",)]
    assert outcome.status == "accepted"
    held = con.execute(
        "SELECT undeclared_columns FROM identifiable.ledger.delivery_file"
    ).fetchone()
    assert held == ([],)


def test_columns_not_taken_help_to_tell_tables_apart(con, tmp_path):
    """Two tables share what is taken; what is not taken says which of them a file is."""
    narrow = replace(NOTE, columns=NOTE.columns[:1], not_taken=("PLACE", "WEATHER"))
    header = "TEXT,PLACE,WEATHER,OTHER\n"
    folder = land(tmp_path / "landing", {"a.csv": header + "x,y,z,w\n"})
    outcome = take(con, contract(narrow, replace(NOTE, name="memo", physical_name="MEMO")), folder)
    assert outcome.accepted == 1
    assert [row[0] for row in rows(con, "toy__note", "text")] == ["x"]
