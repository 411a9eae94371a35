"""What a supplier is told before sending: by file, table, row and rule, and never a value."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from linked_cyp.contracts import load_contracts
from linked_cyp.errors import LinkedCypError
from linked_cyp.readers import SourceFile
from linked_cyp.settings import PROJECT_ROOT
from linked_cyp.validation_report import render, validate, validate_path

CONTRACTS = PROJECT_ROOT / "data_contracts"
SECRETS = ("Q123456789012", "31/02/2011", "KIDDO")


@pytest.fixture(scope="module")
def feed():
    return load_contracts(CONTRACTS)["ssda903"]


def report_on(feed, folder, year=2023, whole=True):
    paths = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    files = [SourceFile(index, path.name, path) for index, path in enumerate(paths)]
    return validate(feed, files, year, whole=whole)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Header (final).csv").write_text(
        "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB,NICKNAME\n"
        "C1,1,02/01/2011,WBRI,UN1,,,\n"
        "C2,2,03/01/2011,WXYZ,Q123456789012,0,,KIDDO\n"
        "C3,2,31/02/2011,WBRI,UN1,,,\n"
        ",2,02/01/2011,WBRI,UN1,,,\n"
    )
    (tmp_path / "eps.csv").write_text(
        "CHILD,DECOM,RNE,LS,CIN,PLACE,PLACE_PROVIDER,DEC,REC,REASON_PLACE_CHANGE,HOME_POST,"
        "PL_POST,URN\nC9,02/01/2020,S,C2,N1,U1,PR1,soon,,,,,\n"
    )
    return tmp_path


def test_every_problem_with_its_place(feed, folder):
    report = report_on(feed, folder)
    assert (report.feed, report.rows, report.refused) == ("ssda903", 5, 1)
    found = {(f.file, f.written, f.rule, f.severity, f.row_numbers) for f in report.findings}
    head, episodes = "Header (final).csv", "eps.csv"
    assert found >= {
        (head, "CHILD", "child_id__required", "error", (4,)),
        (head, "DOB", "birth_date__format", "warning", (3,)),
        (head, "ETHNIC", "ethnicity_code__codes", "warning", (2,)),
        (head, "UPN", "upn__format", "warning", (2,)),
        (episodes, "CHILD", "child_id__exists_in_header", "warning", (1,)),
    }
    assert next(f.rule for f in report.findings if f.written == "DEC").endswith("__format")
    assert not report.acceptable
    assert report.files[0].undeclared == ("NICKNAME",)


def test_no_value_is_shown(feed, folder):
    report = report_on(feed, folder)
    screen = io.StringIO()
    render(report, Console(file=screen, width=200))
    shown = screen.getvalue() + report.to_json()
    assert "birth_date__format" in shown
    assert not [secret for secret in SECRETS if secret in shown]


def test_codes_are_those_of_the_year(feed, folder):
    (folder / "eps.csv").unlink()
    rules = {
        year: {f.rule for f in report_on(feed, folder, year).findings} for year in (2023, 2025)
    }
    assert rules[2025] - rules[2023] == {"sex_code__codes"}


def test_one_sound_file_is_acceptable_but_not_a_whole_return(feed, folder):
    (folder / "Header (final).csv").unlink()
    assert report_on(feed, folder / "eps.csv", whole=False).acceptable
    whole = report_on(feed, folder)
    missing = [f.message for f in whole.findings if f.rule == "table__required"]
    assert missing == [
        f"{t.name} is missing." for t in feed.tables.values() if t.required and t.name == "header"
    ]
    assert whole.acceptable is (not missing)


def test_the_return_is_found_by_its_files(folder, tmp_path):
    report = validate_path(folder / "eps.csv", CONTRACTS, year=2023)
    assert (report.feed, report.files[0].tables) == ("ssda903", ("episodes",))


def test_files_of_no_known_return_are_said_to_be_so(tmp_path):
    (tmp_path / "x.csv").write_text("nothing,known\n1,2\n")
    with pytest.raises(LinkedCypError, match="--feed"):
        validate_path(tmp_path, CONTRACTS)
