"""The validator in a browser finds what the command finds, and nothing leaves the machine."""

from __future__ import annotations

import random
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.supplier.browser.build import build
from linked_cyp.supplier.validation import validate_path
from linked_cyp.supplier.validation_output import as_csv
from linked_cyp_tests.browser_support import DESKTOP, PHONE, browser, overflows, violations
from linked_cyp_tests.mangled.cases.test_what_spreadsheets_do import workbook
from linked_cyp_tests.page_support import checked, opened_page, packages, served

CONTRACTS = PROJECT_ROOT / "data_contracts"
SAMPLES = PROJECT_ROOT.parent / "shared" / "samples"
HEADER = "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB"
EPISODES = (
    "CHILD,DECOM,RNE,LS,CIN,PLACE,PLACE_PROVIDER,DEC,REC,REASON_PLACE_CHANGE,HOME_POST,PL_POST,URN"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = build(tmp_path_factory.mktemp("site") / "page", packages())
    with served(folder) as url:
        yield url


@pytest.fixture(scope="module")
def started(address):
    with browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def page(started, address):
    with opened_page(started, address) as (page, asked):
        page.asked = asked
        yield page


def returned(children: int, seed: int = 1) -> dict[str, str]:
    """An invented looked-after children return, with a slip in about every tenth row."""
    rng = random.Random(seed)
    header, episodes = [HEADER], [EPISODES]
    for n in range(children):
        wrong = rng.random() < 0.1
        born = f"{rng.randrange(1, 29):02}/{rng.randrange(1, 13):02}/{rng.randrange(2008, 2020)}"
        header.append(f"C{n},{9 if wrong else rng.choice('12')},{born},WBRI,UN1,0,")
        begun = f"{rng.randrange(1, 29):02}/{rng.randrange(4, 13):02}/2024"
        code = "ZZ" if rng.random() < 0.05 else "C2"
        episodes.append(f"C{n},{begun},S,{code},N1,U1,PR1,,,,AB1 2CD,AB1 2CD,SC123456")
        if rng.random() < 0.5:
            episodes.append(f"C{n},{begun},P,C2,N1,U4,PR1,01/04/2024,X1,OTHER,AB1 2CD,AB1 2CD,")
    return {"header.csv": "\n".join(header) + "\n", "episodes.csv": "\n".join(episodes) + "\n"}


CENSUS = """<Message><Header><CollectionDetails><Collection>CIN</Collection><Year>2025</Year>
<ReferenceDate>2025-03-31</ReferenceDate></CollectionDetails><Source><LEA>301</LEA></Source></Header>
<Children>{}</Children></Message>""".format(
    "".join(
        f"<Child><ChildIdentifiers><LAchildID>K{n}</LAchildID><PersonBirthDate>2012-05-0{n % 9 + 1}"
        "</PersonBirthDate><Sex>F</Sex></ChildIdentifiers><ChildCharacteristics><Ethnicity>WBRI"
        "</Ethnicity><Disabilities><Disability>NONE</Disability></Disabilities>"
        "</ChildCharacteristics><CINdetails><CINreferralDate>2024-06-01</CINreferralDate>"
        "<PrimaryNeedCode>NX</PrimaryNeedCode><Assessments><AssessmentActualStartDate>2024-05-01"
        "</AssessmentActualStartDate></Assessments></CINdetails></Child>"
        for n in range(30)
    )
)


def mangled() -> dict[str, dict[str, bytes]]:
    """Returns as they should not come: each by its name, its files by theirs."""
    sound = {name: text.encode() for name, text in returned(30).items()}
    header, episodes, xml = sound["header.csv"], sound["episodes.csv"], CENSUS.encode()
    lines = header.split(b"\n")

    def with_header(content: bytes) -> dict[str, bytes]:
        return {"header.csv": content, "episodes.csv": episodes}

    return {
        "a quote left open": with_header(header.replace(b"C5,", b'"C5,', 1)),
        "a field too many": with_header(header.replace(b"C7,", b"C7,C7,", 1)),
        "a field too few": with_header(header.replace(b"WBRI,UN1,0,", b"WBRI", 1)),
        "a zero byte": with_header(header.replace(b"C9,", b"C\x009,", 1)),
        "Windows-1252": with_header(header.replace(b"WBRI", b"WBR\xe9", 1)),
        "UTF-16": with_header(header.decode().encode("utf-16")),
        "a byte order mark": with_header(b"\xef\xbb\xbf" + header),
        "no known encoding": with_header(header.replace(b"WBRI", b"\x81\x8d", 1)),
        "semicolons": with_header(header.replace(b",", b";")),
        "tabs": with_header(header.replace(b",", b"\t")),
        "bare carriage returns": with_header(header.replace(b"\n", b"\r")),
        "empty rows": with_header(header + b",,,,,,\n" * 5),
        "repeated rows": with_header(header + lines[1] + b"\n" + lines[2] + b"\n"),
        "a required column missing": with_header(header.replace(b"CHILD,", b"NUMBER,", 1)),
        "a column twice": with_header(header.replace(b"ETHNIC", b"SEX", 1)),
        "an empty file": with_header(b""),
        "another file among them": {**sound, "notes.csv": b"nothing,known\n1,2\n"},
        "dates of other kinds": with_header(header.replace(b"/20", b"-20")),
        "XML cut off": {"census.xml": xml[: len(xml) * 2 // 3]},
        "XML with a document type": {"census.xml": b"<!DOCTYPE a []>" + xml},
        "XML with stray text, comments and a namespace": {
            "census.xml": xml.replace(b"<Message>", b'<Message xmlns="urn:x">').replace(
                b"<Sex>", b"stray <!-- c --><Sex><![CDATA[]]>"
            )
        },
        "XML with values that cannot be read": {
            "census.xml": xml.replace(b"2024-06-01", b"2024-06-31", 3).replace(b">K4<", b"><", 1)
        },
    }


def same(page, folder: Path, last: Path | None = None) -> dict:
    """The command's CSV and JSON are the page's, line by line; what the page answered."""
    paths = sorted(folder.iterdir())
    try:
        path = folder if len(paths) > 1 else paths[0]
        report = validate_path(path, CONTRACTS, last=last, values=True)
        expected = {"csv": as_csv(report).split("\r\n"), "report": report.to_json()}
    except LinkedCypError as error:
        expected = {"error": str(error)}
    found = checked(page, paths, sorted(last.iterdir()) if last else (), values=True)
    if "csv" in found:
        found["csv"] = found["csv"].split("\r\n")
    kept = {name: found[name] for name in ("csv", "report", "error") if name in found}
    assert kept == expected
    return found


def written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", mangled())
def test_a_mangled_return_is_found_to_be_so_in_the_same_words(page, tmp_path, name):
    same(page, written(tmp_path / "return", mangled()[name]))


def test_last_years_return_and_a_zip_file_are_read_in_the_page_too(page, tmp_path):
    files = {name: text.encode() for name, text in returned(20).items()}
    now = written(tmp_path / "now", files)
    before = {name: text.replace(b"/2024", b"/2023") for name, text in files.items()}
    same(page, now, written(tmp_path / "before", before))
    packed = tmp_path / "packed"
    packed.mkdir()
    with zipfile.ZipFile(packed / "return.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    same(page, packed)


def test_a_workbook_is_read_in_the_page_too(page, tmp_path):
    tables = {
        name: [line.split(",") for line in text.splitlines()] for name, text in returned(20).items()
    }
    book = workbook(
        tmp_path / "made.xlsx", {name.removesuffix(".csv"): t for name, t in tables.items()}
    )
    found = same(page, written(tmp_path / "r", {"return.xlsx": book}))
    assert len(found["csv"]) > 20
    damaged = same(page, written(tmp_path / "d", {"return.xlsx": book, "more.xlsx": book[:900]}))
    assert "error" in damaged or any("file__" in line for line in damaged["csv"])


@pytest.mark.parametrize("sample", ["cin_census/*.xml", "ssda903/*.csv", "school_census*/*.csv"])
def test_the_public_samples_are_found_alike(page, tmp_path, sample):
    if not SAMPLES.is_dir():
        pytest.skip("the public samples are not beside the project")
    files = {path.name: path.read_bytes() for path in SAMPLES.glob(sample)}
    same(page, written(tmp_path / "sample", files))


def processor_seconds() -> float:
    """Of the browser, all its threads together: what it would take on a machine of its own."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(t.user + t.system for t in times)


def test_a_return_of_2700_children_is_checked_in_under_15_seconds(page, tmp_path):
    files = {name: text.encode() for name, text in returned(2_700).items()}
    folder = written(tmp_path / "return", files)
    before, start = processor_seconds(), time.monotonic()
    found = checked(page, sorted(folder.iterdir()))
    used, taken = processor_seconds() - before, time.monotonic() - start
    assert found["csv"].count("\n") > 270
    print(f"2,700 children in the page: {used:.1f} processor seconds, {taken:.1f} s by the clock")
    assert min(used, taken) < 15


def test_nothing_is_asked_of_any_other_machine_and_nothing_could_be(page, address, tmp_path):
    checked(page, sorted(written(tmp_path / "r", mangled()["semicolons"]).iterdir()))
    home = urlsplit(address)
    asked = [urlsplit(url.removeprefix("blob:")) for url in page.asked]
    assert {(url.scheme, url.netloc) for url in asked if url.scheme not in ("data", "about")} == {
        (home.scheme, home.netloc)
    }
    with served(tmp_path) as elsewhere:
        tries = f"fetch({elsewhere!r}, {{mode: 'no-cors'}}).then(() => 'sent', () => 'refused')"
        assert page.evaluate(tries) == "refused"
        (worker,) = page.workers
        assert worker.evaluate(tries) == "refused"


def test_the_page_is_for_a_phone_a_keyboard_and_a_screen_reader_too(started, address, tmp_path):
    files = sorted(written(tmp_path / "r", mangled()["repeated rows"]).iterdir())
    with opened_page(started, address, PHONE, bypass_csp=True) as (page, _):
        assert violations(page) == []
        page.locator("#now").set_input_files([str(path) for path in files])
        page.locator("#check").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector('body[data-state="done"]', timeout=120_000)
        assert page.evaluate("document.activeElement.id") == "result-title"
        for width in (PHONE, DESKTOP):
            page.set_viewport_size({"width": width, "height": 800})
            assert not overflows(page)
        assert violations(page) == []
