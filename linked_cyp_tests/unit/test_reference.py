"""The postcode directory, in the layouts its publisher has used."""

from __future__ import annotations

from pathlib import Path

import pytest

from linked_cyp.errors import LinkedCypError
from linked_cyp.reference import load_postcodes

OLD = (
    '"pcd","pcds","oslaua","lsoa11","lsoa21"\n'
    '"NW105AB","NW10 5AB","E09000005","E01000001","E01030001"\n'
)
NEW = "pcd7,pcds,lad25cd,lsoa11cd,lsoa21cd\nNW105AB,NW10 5AB,E09000005,E01000001,E01030001\n"
NSPL = "pcd,pcds,laua,lsoa11,lsoa21,imd\nNW105AB,NW10 5AB,E09000005,E01000001,E01030001,12\n"
ROW = {
    "postcode": "NW10 5AB",
    "lsoa11_code": "E01000001",
    "lsoa21_code": "E01030001",
    "la_code": "E09000005",
}


def written(folder: Path, text: str) -> Path:
    path = folder / "postcodes.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [OLD, NEW, NSPL, "\ufeff" + NEW, NEW.replace("pcds", "PCDS")])
def test_every_published_layout_reads_alike(tmp_path: Path, text: str) -> None:
    assert load_postcodes(written(tmp_path, text)).to_dicts() == [ROW]


def test_spelling_blanks_repeats_and_places_without_areas(tmp_path: Path) -> None:
    header = NEW.splitlines()[0]
    lines = [
        header,
        "x,nw10  5ab,E09000005,E01000001,E01030001",
        "x,NW10 5AB,E09000099,E01000099,E01030099",
        "x,IM1 1AA,M99999999,M99999999,",
        "x,,E09000005,E01000001,E01030001",
    ]
    assert load_postcodes(written(tmp_path, "\n".join(lines))).to_dicts() == [
        ROW,
        {"postcode": "IM1 1AA", "lsoa11_code": None, "lsoa21_code": None, "la_code": None},
    ]


@pytest.mark.parametrize(
    ("gone", "named"),
    [("pcds", "pcds"), ("lad25cd", "lad25cd"), ("lsoa11cd", "lsoa11cd"), ("lsoa21cd", "lsoa21cd")],
)
def test_a_missing_column_is_named(tmp_path: Path, gone: str, named: str) -> None:
    with pytest.raises(LinkedCypError, match=f"no column .*{named}"):
        load_postcodes(written(tmp_path, NEW.replace(gone, "other")))


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LinkedCypError, match="put the ONSPD or NSPL CSV there"):
        load_postcodes(tmp_path / "postcodes.csv")
    with pytest.raises(LinkedCypError, match="reading the postcode directory"):
        load_postcodes(written(tmp_path, ""))
