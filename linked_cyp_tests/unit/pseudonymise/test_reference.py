"""Reference data: the postcode directory in every published layout, and schools."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import polars as pl
import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.expectations.suite import failures, run_rules
from linked_cyp.identity.keys import Keys
from linked_cyp.pseudonymise.reference import (
    ESTABLISHMENT_TABLE,
    load_establishments,
    load_postcodes,
    prepared_postcodes,
    publish_establishments,
    reference_contracts,
)
from linked_cyp_tests.support import empty_warehouse, insert_rows

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
    [("pcds", "pcds"), ("lad25cd", "ladNNcd"), ("lsoa21cd", "lsoa21cd")],
)
def test_a_missing_column_is_named(tmp_path: Path, gone: str, named: str) -> None:
    with pytest.raises(LinkedCypError, match=f"no column .*{named}"):
        load_postcodes(written(tmp_path, NEW.replace(gone, "other")))


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LinkedCypError, match="put the ONSPD or NSPL CSV there"):
        load_postcodes(tmp_path / "postcodes.csv")
    with pytest.raises(LinkedCypError, match="reading the postcode directory"):
        load_postcodes(written(tmp_path, ""))


def test_only_what_is_needed_is_copied_and_a_changed_file_is_copied_anew(tmp_path: Path) -> None:
    path, stores = written(tmp_path, OLD), tmp_path / "stores"
    copy = prepared_postcodes(path, stores)
    assert load_postcodes(path, stores).equals(load_postcodes(path))
    assert pl.read_parquet_schema(copy) == load_postcodes(path).schema
    assert prepared_postcodes(path, stores) == copy
    written(tmp_path, OLD.replace("E01030001", "E01030002"))
    os.utime(path, ns=(1, 1))
    assert load_postcodes(path, stores)["lsoa21_code"].to_list() == ["E01030002"]
    assert [p for p in stores.iterdir() if p.suffix == ".parquet"] != [copy]
    assert len(list(stores.iterdir())) == 1


def test_reference_contracts_are_no_feeds() -> None:
    assert set(reference_contracts()) == {"postcode_directory", "establishments"}
    assert all(c.domain == "reference" for c in reference_contracts().values())
    assert not set(reference_contracts()) & set(load_contracts(PROJECT_ROOT / "data_contracts"))


LIST = """\
URN,LA (code),LA (name),EstablishmentNumber,EstablishmentName,EstablishmentTypeGroup (name),\
EstablishmentStatus (name),PhaseOfEducation (name),StatutoryLowAge,StatutoryHighAge
100001,304,Brent,2001,"Caf\xe9 Lane, Infants",Local authority maintained schools,Closed,Primary,4,7
140001,304,Brent,2001,New Lane Academy,Academies,"Open, but proposed to close",Primary,4,11
140002,304,Brent,,Elsewhere College,Independent schools,Open,Not applicable,11,
"""


def test_of_two_rows_of_one_number_the_open_school_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "establishments.csv"
    path.write_bytes(LIST.encode("cp1252"))  # as the service offers it
    read = load_establishments(path)
    assert read.filter(pl.col("laestab") == "3042001")["urn"].to_list() == ["140001", "100001"]
    assert read.filter(pl.col("urn") == "140002").row(0) == (
        *("140002", None, "Not applicable", "Independent schools", 11, None),
    )
    assert load_establishments(tmp_path / "none.csv").is_empty()


def test_schools_in_the_warehouse_are_described_under_their_suppliers_tokens(
    tmp_path: Path,
) -> None:
    path = tmp_path / "establishments.csv"
    path.write_bytes(LIST.encode("cp1252"))
    contracts = load_contracts(PROJECT_ROOT / "data_contracts")
    census = contracts["school_census"]
    keys = Keys(os.urandom(32))
    token = {
        supplier: keys.token(
            f"local_id:school_census.{supplier}", f"school_census|{supplier}|school_id|3042001"
        )
        for supplier in ("acton", "brent")
    }
    with duckdb.connect(":memory:") as con:
        con.execute("ATTACH ':memory:' AS warehouse")
        empty_warehouse(con, {"school_census": census})
        for supplier, school in token.items():
            delivery = {"delivery_id": supplier, "feed": "school_census", "supplier": supplier}
            insert_rows(con, "warehouse.pseudonymised.delivery", [delivery])
            rows = [{"delivery_id": supplier, "row_number": n, "school_id": school} for n in (1, 2)]
            insert_rows(con, "warehouse.pseudonymised.school_census__pupil_on_roll", rows)
        listed = load_establishments(path)
        for _ in range(2):  # again is the same
            assert publish_establishments(con, [census], keys, listed) == 2
        assert con.execute(f"FROM {ESTABLISHMENT_TABLE}").fetchall() == [
            ("school_census", supplier, token[supplier], "Primary", "Academies", 4, 11)
            for supplier in ("acton", "brent")
        ]
        assert publish_establishments(con, [census], keys, load_establishments(tmp_path)) == 0


def areas_of(index: str) -> pl.Series:
    return pl.read_csv(PROJECT_ROOT / "dbt_project" / "seeds" / f"{index}.csv").to_series(0)


def test_swapped_vintages_of_small_areas_are_found() -> None:
    from linked_cyp.defs.reference import postcode_rules

    rules = postcode_rules(Settings.from_environment())
    old, new = areas_of("imd_2019")[:2000], areas_of("imd_2025")[-2000:]
    right = pl.DataFrame({"lsoa11_code": old, "lsoa21_code": new}).with_row_index("postcode")
    swapped = right.rename({"lsoa11_code": "lsoa21_code", "lsoa21_code": "lsoa11_code"})
    with duckdb.connect(":memory:") as con:
        for frame, broken in (
            (right, []),
            (swapped, ["lsoa11_code__vintage", "lsoa21_code__vintage"]),
            (right.head(0), ["rows__there"]),
        ):
            con.register("directory", frame.to_arrow())
            assert failures(run_rules(con, "directory", rules)) == broken
