"""The report's pages as people meet them: nothing cut off, nothing in anybody's way."""

from __future__ import annotations

import pytest

from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.supplier.validation import validate_path
from linked_cyp.supplier.validation_output import write_report
from linked_cyp_tests.browser_support import DESKTOP, PHONE, browser, opened, overflows, violations

CONTRACTS = PROJECT_ROOT / "data_contracts"
# Elements whose content is wider than they are, on a page that nobody wants to scroll sideways.
CUT_OFF = """[...document.querySelectorAll("body *")]
  .filter((e) => e.clientWidth && getComputedStyle(e).display !== "inline")
  .filter((e) => e.scrollWidth > e.clientWidth + 1)
  .map((e) => e.tagName + " " + e.className)"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A return with something of every kind, and long names."""
    folder = tmp_path_factory.mktemp("return")
    rows = [f"CHILD{n:04},7,31/02/2011,WXYZ,Q123456789012,,," for n in range(0, 300, 3)]
    rows += [",1,02/01/2011,WBRI,UN1,,,", ",,,,,,,", "A" * 90 + ",1,02/01/2011,WBRI,UN1,,,"]
    header = "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB,A_COLUMN_THAT_NOBODY_DECLARED_AND_LONG\n"
    (folder / f"header_{'of_the_return_' * 8}.csv").write_text(header + "\n".join(rows) + "\n")
    (folder / "episodes.csv").write_text(
        "CHILD,DECOM,RNE,LS,CIN,PLACE,PLACE_PROVIDER,DEC,REC,REASON_PLACE_CHANGE,HOME_POST,PL_POST,"
        "URN\nCHILD0000,02/05/2024,S,ZZ,N1,U1,PR1,01/05/2024,=X1,,,,\n"
        "CHILD0003,02/05/2024,S,C2,N1,U1,PR1,,,,,,\n"
    )
    (folder / "notes.csv").write_text("nothing,known\n1,2\n")
    report = validate_path(folder, CONTRACTS, values=True)
    page, _, children = write_report(report, tmp_path_factory.mktemp("report"))
    return {"report": page, "children": children}


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("name", ["report", "children"])
def test_nothing_is_cut_off_and_nothing_is_in_the_way(pages, name, width):
    with browser() as started, opened(started, pages[name], width) as page:
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert not overflows(page)
        assert page.evaluate(CUT_OFF) == []
        assert violations(page) == []


def test_a_child_is_picked_by_typing_its_id(pages):
    with browser() as started, opened(started, pages["children"]) as page:
        page.keyboard.press("Tab")
        page.get_by_label("Pick a child by its id").fill("child0003")
        shown = page.locator("details.child:visible")
        assert shown.count() == 1
        assert shown.get_attribute("open") is not None
        assert page.locator("#count").inner_text().startswith("1 of ")
