"""What a supplier is told before sending: by file, table, row and rule, and never a value."""

from __future__ import annotations

import csv
import html
import io

import pytest
from rich.console import Console

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.ingest.readers import SourceFile
from linked_cyp.supplier.validation import validate, validate_path
from linked_cyp.supplier.validation_output import (
    KINDS,
    as_csv,
    as_page,
    children,
    items,
    numbered,
    show,
    verdict,
    write_report,
)

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
    assert {f.rule for f in report.findings if f.written == "DEC"} == {
        "column__lost",  # the only value of its column
        "episode_end_date__format",
    }
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
    text = (folder / "eps.csv").read_text()
    (folder / "eps.csv").write_text(text.replace(",soon,", ",,"))
    assert report_on(feed, folder / "eps.csv", whole=False).acceptable
    whole = report_on(feed, folder)
    missing = [f.message for f in whole.findings if f.rule == "table__required"]
    assert missing == [
        f"Required table {t.physical_name} is missing, so the return is refused."
        for t in feed.tables.values()
        if t.required and t.name == "header"
    ]
    assert whole.acceptable is (not missing)


def test_the_return_is_found_by_its_files(folder, tmp_path):
    report = validate_path(folder / "eps.csv", CONTRACTS, year=2023)
    assert (report.feed, report.files[0].tables) == ("ssda903", ("Episodes",))


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
    assert report.rules_waiting["203"] == "needs Header of last year's return"
    assert report.rules_waiting["1008"] == "needs Ofsted's list of providers"
    assert "a directory of postcodes" in report.rules_waiting["169"]
    page = html.unescape(as_page(report))
    assert all(reason in page for reason in report.rules_waiting.values())
    assert report.acceptable, "the Department's rules do not refuse rows"


def test_the_terminal_names_each_rule_that_did_not_run_with_its_reason(returned):
    report = validate_path(returned / "now", CONTRACTS, year=2023)
    console = Console(record=True, width=200, file=io.StringIO())
    show(report, console)
    printed = console.export_text()
    assert report.rules_waiting
    for code, reason in report.rules_waiting.items():
        assert f"Rule {code} {reason}" in printed


def test_a_directory_of_postcodes_lets_its_rules_run(returned):
    path = returned / "postcodes.csv"
    path.write_text("pcds,lad25cd,lsoa11cd,lsoa21cd\nNW10 5AB,E09000005,E01000001,E01030001\n")
    rows = [episode(PL_POST=code)[1] for code in ("nw105ab", "ZZ9 9ZZ")]
    (returned / "now" / "Eps.csv").write_text("\n".join([episode()[0], *rows]) + "\n")
    without = validate_path(returned / "now", CONTRACTS, year=2023)
    report = validate_path(returned / "now", CONTRACTS, year=2023, postcodes=path)
    ran = without.rules_waiting.keys() - report.rules_waiting.keys()
    assert {"169", "420"} <= ran
    assert report.rules_run == without.rules_run + len(ran)
    assert [f.row_numbers for f in report.failures if f.code == "169"] == [(2,)]
    assert not [f for f in without.failures if f.code in ran]
    assert {code: without.rules_waiting[code] for code in ran} == dict.fromkeys(
        ran, "needs a directory of postcodes, for the area of placements"
    )


def test_what_is_no_directory_of_postcodes_is_said_to_be_none(returned):
    with pytest.raises(LinkedCypError, match="has no column"):
        validate_path(
            returned / "now", CONTRACTS, year=2023, postcodes=returned / "now" / "Eps.csv"
        )


def test_last_years_return_lets_its_rules_run(feed, returned):
    report = validate_path(returned / "now", CONTRACTS, year=2023, last=returned / "before")
    assert "203" not in report.rules_waiting
    assert {f.table for f in report.failures if f.code == "203"} == {"Header"}


def test_years_without_known_rules_are_an_error_in_words(feed, returned):
    report = report_on(feed, returned / "now", 2022)
    assert (report.failures, report.rules_run, report.rules_waiting) == ((), 0, {})
    assert "known for the collections of 2023" in report.no_rules
    assert report.no_rules in html.unescape(as_page(report))
    assert report.no_rules in verdict(report)


def test_page_and_csv_agree_and_hold_no_value(feed, returned):
    report = validate_path(returned / "now", CONTRACTS)
    page, lines = write_report(report, returned / "out")
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_mode & 0o777 == 0o600
    assert 'id="rule-356"' in text
    failed = [item for item in items(report) if item.by_department]
    assert f"<strong>{len(failed)}</strong> of {report.rules_run} rules" in text
    found = csv_rows(report)
    assert len(found) == report.found == sum(item.rows for item in items(report))
    with_row = {(row["file"], row["table"], row["row"]) for row in found if row["row"]}
    assert len(with_row) == report.rows_found
    for figure in (report.found, report.rows_found, report.rows, report.refused, report.left_out):
        assert f"<strong>{figure}</strong>" in text
    for secret in ("C1", "=X1", "03/01/2011", "01/06/2022"):
        assert secret not in text + lines.read_text(encoding="utf-8")


def csv_rows(report):
    return list(csv.DictReader(io.StringIO(as_csv(report), newline="")))


def test_every_refused_and_every_failing_row_is_in_the_csv(feed, tmp_path):
    rows = [f"C{n},1,02/01/2011,WXYZ,UN1,," for n in range(300)]
    rows += [",1,02/01/2011,WBRI,UN1,," for _ in range(123)]
    (tmp_path / "Header.csv").write_text(
        "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB\n" + "\n".join(rows) + "\n"
    )
    report = report_on(feed, tmp_path)
    found = csv_rows(report)
    refused = [int(r["row"]) for r in found if r["rule"] == "child_id__required"]
    assert refused == list(range(301, 424))
    assert report.refused == 123
    assert sum(r["rule"] == "ethnicity_code__codes" for r in found) == 300
    assert sum(r["rule"] == "102" for r in found) in (0, 300)


def test_a_row_that_is_only_left_out_does_not_stop_the_return(feed, tmp_path):
    (tmp_path / "Header.csv").write_text(
        "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB\n" + "C1,1,02/01/2011,WBRI,UN1,,\n" * 2 + ",,,,,,\n"
    )
    report = report_on(feed, tmp_path, whole=False)
    assert (report.rows, report.refused, report.left_out, report.acceptable) == (3, 0, 2, True)


def test_a_refused_file_lists_each_of_its_rows(feed, tmp_path):
    (tmp_path / "Header.csv").write_text("SEX,DOB,ETHNIC\n1,,WBRI\n1,,WBRI\n")
    report = report_on(feed, tmp_path, whole=False)
    assert report.refused == 2
    rules = [(r["row"], r["rule"], r["fields"]) for r in csv_rows(report)]
    assert rules == [("1", "file__column_missing", "CHILD"), ("2", "file__column_missing", "CHILD")]


def test_values_only_when_asked_and_inert(feed, returned):
    report = validate_path(returned / "now", CONTRACTS, values=True)
    failure = next(f for f in report.failures if f.code == "356")
    assert failure.values == ("DECOM=01/06/2022",)
    text = as_csv(report)
    assert text.splitlines()[0].startswith("child,file,")
    assert text.splitlines()[0].endswith(",values")
    assert {r["child"] for r in csv_rows(report) if r["table"] == "Episodes"} == {"C1"}
    assert "REC==X1" in text
    assert ",=X1" not in text


def test_children_are_shown_only_where_values_were_asked_for(returned):
    plain = write_report(validate_path(returned / "now", CONTRACTS), returned / "plain")
    assert [path.name for path in plain] == ["validation.html", "validation.csv"]
    report = validate_path(returned / "now", CONTRACTS, values=True)
    page, _, by_child = write_report(report, returned / "out")
    assert by_child.stat().st_mode & 0o777 == 0o600
    assert "C1" in by_child.read_text(encoding="utf-8")
    assert "C1" not in page.read_text(encoding="utf-8")


def test_a_child_has_its_rows_of_every_table_with_the_faulty_fields_marked(returned):
    report = validate_path(returned / "now", CONTRACTS, values=True)
    (child,) = [c for c in children(report) if c.name == "C1"]
    tables = {table.name: table for table in child.tables}
    assert set(tables) == {"Header", "Episodes"}
    (place, fields, _) = tables["Episodes"].rows[1]
    by_name = dict(zip(tables["Episodes"].columns, fields, strict=True))
    assert place == "Eps.csv, row 2"
    assert "rule 356" in by_name["DECOM"][1]
    assert by_name["REC"] == ("=X1", by_name["REC"][1])
    assert "rule 149" in by_name["REC"][1]
    assert by_name["LS"][1] == ()
    assert {"rule 356", "rule 149"} <= {rule for rule, _ in child.rules}


def test_what_stops_comes_first_then_the_departments_errors_then_warnings(returned):
    with (returned / "now" / "Header.csv").open("a") as file:
        file.write(",1,03/01/2011,WXYZ,UN1,,\nC2,1,03/01/2011,WXYZ,UN1,,\n")
    report = validate_path(returned / "now", CONTRACTS)
    kinds = [item.kind for item in items(report)]
    assert kinds == sorted(kinds, key=list(KINDS).index)
    assert set(kinds) == set(KINDS)
    page = html.unescape(as_page(report))
    places = [page.index(f"<h2>{title}</h2>") for title in KINDS.values()]
    assert places == sorted(places)
    severities = [(r["severity"], r["rule"]) for r in csv_rows(report)]
    stops = [("error", "table__quarantined"), ("error", "column__lost")]
    assert severities[:3] == [*stops, ("error", "child_id__required")]


def test_what_was_expected_is_said_with_the_codes_of_the_year_and_their_labels(returned):
    with (returned / "now" / "Header.csv").open("a") as file:
        file.write("C2,7,31/02/2011,WXYZ,UN1,,\n")
    for_rule = {item.rule: item for item in items(validate_path(returned / "now", CONTRACTS))}
    sex = for_rule["sex_code__codes"]
    assert sex.codes == (("1", "Male"), ("2", "Female"))
    assert sex.message == "SEX holds a code that is not one of the 2023 collection."
    assert for_rule["birth_date__format"].expected == "a date written like 31/03/2025 or 2025-03-31"
    assert all(item.advice and item.message for item in for_rule.values())
    department = next(i for i in for_rule.values() if i.by_department and i.fields == ("SEX",))
    assert department.codes


def test_one_name_for_a_table_wherever_it_is_named(feed, folder):
    report = report_on(feed, folder)
    named = {f.table for f in (*report.findings, *report.failures)}
    named |= {table for file in report.files for table in file.tables}
    assert named <= {table.physical_name for table in feed.tables.values()}


CIN = """<Message><Header><CollectionDetails><Collection>CIN</Collection>{year}
<ReferenceDate>{day}</ReferenceDate></CollectionDetails><Source><LEA>301</LEA></Source></Header>
<Children>{children}</Children></Message>"""
A_CHILD = """<Child><ChildIdentifiers><LAchildID>{id}</LAchildID>
<PersonBirthDate>2012-05-06</PersonBirthDate><Sex>F</Sex></ChildIdentifiers>
<ChildCharacteristics><Ethnicity>WBRI</Ethnicity></ChildCharacteristics>
{details}</Child>"""
DETAILS = """<CINdetails><CINreferralDate>{day}</CINreferralDate><ReferralSource>1A</ReferralSource>
<PrimaryNeedCode>{need}</PrimaryNeedCode></CINdetails>"""


@pytest.fixture
def census(tmp_path):
    details = (
        DETAILS.format(day="2024-05-01", need="N1"),
        DETAILS.format(day="2024-06-01", need="NX"),
    )
    children = A_CHILD.format(id="K1", details=details[0])
    children += A_CHILD.format(id="K2", details="".join(details))
    path = tmp_path / "census.xml"
    path.write_text(CIN.format(year="<Year>2025</Year>", day="2025-03-31", children=children))
    return path


def test_a_row_of_xml_is_named_by_its_childs_element(census):
    report = validate_path(census, CONTRACTS)
    found = [r for r in csv_rows(report) if "PrimaryNeedCode" in r["fields"] and r["row"] == "3"]
    assert found
    assert {r["element"] for r in found} == {"Child 2, CINdetails 2"}
    places = [p.shown for item in items(report) for p in item.places if p.table == "CINdetails"]
    assert "Child 2, CINdetails 2" in places
    assert "K2" not in as_csv(report) + as_page(report)
    told = validate_path(census, CONTRACTS, values=True)
    assert {r["child"] for r in csv_rows(told) if r["row"] == "3"} == {"K2"}


def test_the_census_says_its_year_and_its_rules_run(census):
    report = validate_path(census, CONTRACTS)
    assert report.year == 2025
    assert report.reason == "the return says so (Header, Year)"
    assert report.rules_run > 40


def test_without_a_year_the_reference_date_says_it(census):
    census.write_text(census.read_text().replace("<Year>2025</Year>", ""))
    report = validate_path(census, CONTRACTS)
    assert (report.year, report.reason) == (2025, "the return says so (Header, ReferenceDate)")


def test_a_year_that_the_return_contradicts_is_refused(census, returned):
    with pytest.raises(LinkedCypError, match="not of 2024 but of 2025: the return says so"):
        validate_path(census, CONTRACTS, year=2024)
    for year in (2022, 2024):
        with pytest.raises(LinkedCypError, match=f"not of {year} but of 2023: its newest dates"):
            validate_path(returned / "now", CONTRACTS, year=year)
    assert validate_path(census, CONTRACTS, year=2025).year == 2025


def test_a_return_that_contradicts_itself_is_told_so(census):
    census.write_text(census.read_text().replace("2025-03-31", "2024-03-31"))
    report = validate_path(census, CONTRACTS)
    assert (report.year, report.reason) == (
        2025,
        "the return says so (Header, Year), though Header, ReferenceDate names 2024",
    )
    assert validate_path(census, CONTRACTS, year=2024).year == 2024


def test_delimited_files_are_of_the_year_of_their_newest_dates_but_not_of_a_slip(returned):
    header, _ = episode()
    rows = [episode(child=f"C{n}", start="01/05/2023")[1] for n in range(150)]
    rows.append(episode(child="C1", start="01/05/2025")[1])  # one mistyped year
    rows.append(episode(child="C2", start="01/05/2093")[1])
    (returned / "now" / "Eps.csv").write_text("\n".join([header, *rows]) + "\n")
    report = validate_path(returned / "now", CONTRACTS)
    assert report.year == 2024
    assert report.reason.startswith("its newest dates are of that year (150, most in Episodes")


def test_dates_of_birth_do_not_tell_the_year(returned):
    (returned / "now" / "Eps.csv").unlink()
    report = validate_path(returned / "now", CONTRACTS, year=2025)
    assert (report.year, report.reason) == (2025, "named by you")
    assert "no dates of events" in validate_path(returned / "now", CONTRACTS).reason


@pytest.mark.parametrize("year", [20255, 25, 0, -1])
def test_what_is_no_year_gets_a_sentence(returned, year):
    with pytest.raises(LinkedCypError, match="not a collection year"):
        validate_path(returned / "now", CONTRACTS, year=year)


def test_a_wrong_last_year_gets_a_sentence(returned, census):
    now = returned / "now"
    with pytest.raises(LinkedCypError, match="last year's return is not read as"):
        validate_path(now, CONTRACTS, last=census)
    with pytest.raises(LinkedCypError, match="last year's return is not of 2022 but of 2023"):
        validate_path(now, CONTRACTS, last=now)
    (returned / "before" / "Broken.csv").write_text("DECOM,RNE,LS\n01/05/2021,S,C2\n")
    with pytest.raises(LinkedCypError, match=r"cannot be read: Broken\.csv"):
        validate_path(now, CONTRACTS, last=returned / "before")


def test_row_numbers_are_joined_into_runs():
    assert numbered(()) == "the whole return"
    assert numbered((1, 2, 3, 7, 9, 10)) == "1 to 3, 7, 9 to 10"
    assert numbered(tuple(range(1, 200, 2))).endswith("79 and 60 more")
