"""What a supplier is told before sending: by file, table, row and rule, and never a value."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.ingest.readers import SourceFile
from linked_cyp.supplier.validation import validate, validate_path
from linked_cyp.supplier.validation_output import as_csv, numbered, show, totals, write_report

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
    show(report, Console(file=screen, width=200))
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


def episode(child="C1", start="01/05/2022", **other):
    given = {"RNE": "S", "LS": "C2", "CIN": "N1", "PLACE": "U1", "PLACE_PROVIDER": "PR1"}
    given |= {"CHILD": child, "DECOM": start} | other
    header = (
        "CHILD,DECOM,RNE,LS,CIN,PLACE,PLACE_PROVIDER,DEC,REC,REASON_PLACE_CHANGE,HOME_POST,"
        "PL_POST,URN"
    )
    return header, ",".join(given.get(column, "") for column in header.split(","))


@pytest.fixture
def returned(tmp_path):
    """A return of one child whose episode ends before it starts, and one of last year."""
    for name, start in (("now", "01/05/2022"), ("before", "02/05/2021")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Header.csv").write_text(
            "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB\n"
            f"C1,1,0{3 if name == 'now' else 4}/01/2011,WBRI,UN1,,\n"
        )
        header, ok = episode(start=start)
        _, late = episode(start="01/06/2022", DEC="01/05/2022", REC="=X1")
        rows = [header, ok, *(["", late] if name == "now" else [])]
        (tmp_path / name / "Eps.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_the_departments_rules_by_file_and_row(feed, returned):
    report = validate_path(returned / "now", CONTRACTS, year=2023)
    by_code = {(f.code, f.file): f for f in report.failures}
    assert by_code["356", "Eps.csv"].row_numbers == (2,)
    assert by_code["149", "Eps.csv"].fields == ("REC",)
    assert {f.values for f in report.failures} == {()}
    assert report.rules_run > 80
    assert {"203", "392a", "1008"} <= set(report.rules_waiting)
    assert report.acceptable, "the Department's rules do not refuse rows"


def test_last_years_return_lets_its_rules_run(feed, returned):
    report = validate_path(returned / "now", CONTRACTS, year=2023, last=returned / "before")
    assert "203" not in report.rules_waiting
    assert {f.table for f in report.failures if f.code == "203"} == {"Header"}


def test_years_without_known_rules_say_so(feed, returned):
    report = validate_path(returned / "now", CONTRACTS, year=2022)
    assert (report.failures, report.rules_run, report.rules_waiting) == ((), 0, ())


def test_page_and_csv_agree_and_hold_no_value(feed, returned):
    report = validate_path(returned / "now", CONTRACTS, year=2023)
    page, lines = write_report(report, returned / "out")
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_mode & 0o777 == 0o600
    assert 'id="rule-356"' in text
    assert f"<strong>{len(totals(report))}</strong> of {report.rules_run} rules" in text
    csv_text = lines.read_text(encoding="utf-8")
    of_rules = [line for line in csv_text.splitlines() if line.startswith(("Eps", "Header"))]
    assert len(of_rules) == sum(t.rows for t in totals(report)) + sum(
        max(len(f.row_numbers), 1) for f in report.findings
    )
    for secret in ("C1", "=X1", "03/01/2011", "01/06/2022"):
        assert secret not in text + csv_text


def test_values_only_when_asked_and_inert(feed, returned):
    report = validate_path(returned / "now", CONTRACTS, year=2023, values=True)
    failure = next(f for f in report.failures if f.code == "356")
    assert failure.values == ("DECOM=01/06/2022",)
    text = as_csv(report)
    assert text.splitlines()[0].endswith(",message,values")
    assert "REC==X1" in text
    assert ",=X1" not in text


def test_row_numbers_are_joined_into_runs():
    assert numbered(()) == "the whole return"
    assert numbered((1, 2, 3, 7, 9, 10)) == "1 to 3, 7, 9 to 10"
    assert numbered(tuple(range(1, 200, 2))).endswith("79 and 60 more")
