"""Every feed, table and project has its words, and nothing is said of what is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from linked_cyp.contracts.facts import UNTOLD
from linked_cyp.contracts.model import load_codesets, load_contract, load_contracts
from linked_cyp.contracts.organisation import load_organisation
from linked_cyp.contracts.plain_words import FILE, gaps, load_plain_words
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.release.project import projects

FOLDER = PROJECT_ROOT / "data_contracts"
CONTRACTS = load_contracts(FOLDER)
WORDS = load_plain_words(FOLDER)
PROJECTS = projects(FOLDER / "projects")


def test_nothing_is_left_unsaid() -> None:
    assert list(gaps(WORDS, CONTRACTS, PROJECTS)) == []


def test_a_new_feed_table_project_or_opt_out_cannot_be_forgotten() -> None:
    census = CONTRACTS["school_census"]
    table = replace(census.tables["sen_needs"], name="lunch")
    changed = CONTRACTS | {
        "school_census": replace(census, tables={**census.tables, "lunch": table}),
        "library": replace(
            census, feed="library", domain="education", opt_outs=("library",), plain_words=None
        ),
        "list": replace(census, feed="list", domain="governance"),
    }
    found = set(gaps(WORDS, changed, [*PROJECTS, "books"]))
    assert found == {
        "feed library has no plain words",
        "project books has no plain words",
        "opt-out library has no plain words",
        "school_census table lunch has no plain words",
    }


def test_words_of_what_is_gone_are_named() -> None:
    census = CONTRACTS["school_census"]
    left = {name: table for name, table in census.tables.items() if name != "sen_needs"}
    without = CONTRACTS | {"school_census": replace(census, tables=left)}
    expected = ["school_census table sen_needs has words, but does not exist"]
    assert list(gaps(WORDS, without, PROJECTS)) == expected


def test_what_has_no_words_is_shown_all_the_same() -> None:
    census = CONTRACTS["school_census"]
    said = WORDS.feed(census)
    new = replace(census.tables["sen_needs"], name="lunch")
    assert UNTOLD not in said.held(census.tables)
    assert said.held({**census.tables, "lunch": new})[-1] == UNTOLD
    unknown = replace(census, feed="library", title="Library loans", plain_words=None)
    assert WORDS.feed(unknown).name == "Library loans"
    assert WORDS.feed(unknown).held(unknown.tables) == [UNTOLD]


def test_a_phrase_goes_with_the_last_of_its_tables() -> None:
    census = CONTRACTS["school_census"]
    phrase = next(p for p, names in WORDS.feed(census).holds.items() if "sen_needs" in names)
    left = {name: table for name, table in census.tables.items() if name != "sen_needs"}
    assert phrase in WORDS.feed(census).held(census.tables)
    assert phrase not in WORDS.feed(census).held(left)


@pytest.mark.parametrize("text", ["[]", "feeds: {}", None])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / FILE).write_text(text)
    with pytest.raises(LinkedCypError, match=FILE):
        load_plain_words(tmp_path)


def test_a_feed_without_a_name_is_refused(tmp_path: Path) -> None:
    text = (FOLDER / "ncmp.odcs.yaml").read_text(encoding="utf-8")
    name = "    name: Height and weight at school\n"
    assert name in text
    (tmp_path / "ncmp.odcs.yaml").write_text(text.replace(name, ""), encoding="utf-8")
    with pytest.raises(LinkedCypError, match=r"plainWords.*name is missing"):
        load_contract(tmp_path / "ncmp.odcs.yaml", load_codesets(FOLDER / "codesets"))


def test_a_way_to_say_no_cannot_be_left_out(tmp_path: Path) -> None:
    document = yaml.safe_load((FOLDER / FILE).read_text())
    del document["opt_outs"]["type1_opt_out"]
    (tmp_path / FILE).write_text(yaml.safe_dump(document))
    with pytest.raises(LinkedCypError, match="may be left unsaid: type1_opt_out"):
        load_plain_words(tmp_path)


def test_an_organisation_that_forgets_children_is_refused(tmp_path: Path) -> None:
    document = yaml.safe_load((FOLDER / "organisation.yaml").read_text())
    del document["for_children"]["rights"]
    (tmp_path / "organisation.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(LinkedCypError, match="for_children does not say: rights"):
        load_organisation(tmp_path)
