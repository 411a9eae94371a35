"""What is written: the same every time, readable natively, and true to the truth."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
from lxml import etree

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.synthetic import Summary, synthesise

SHARED = PROJECT_ROOT.parent / "shared"


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    return load_contracts(PROJECT_ROOT / "data_contracts")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, contracts: dict[str, Contract]) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    synthesise(folder, children=1500, seed=5, contracts=contracts)
    return folder


def _read(path: Path, encoding: str) -> pl.DataFrame:
    return pl.read_csv(path.read_bytes().decode(encoding).encode(), infer_schema=False)


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    tmp_path: Path, contracts: dict[str, Contract]
) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        synthesise(
            tmp_path / name, children=200, local_authorities=2, seed=seed, contracts=contracts
        )
    first, second, other = (_digests(tmp_path / name) for name in "abc")
    assert first == second
    assert first != other
    assert len(first) > 60


def test_every_feed_is_delivered_where_it_should_be(
    home: Path, contracts: dict[str, Contract]
) -> None:
    landing = home / "landing"
    found = {(p.parts[-3], p.parts[-2]) for p in landing.glob("*/*/*")}
    authorities = {"ashmere", "brackenford", "carrowdale"}
    everywhere = {"ssda903", "cin_census", "school_census"}
    assert {(a, f) for a in authorities for f in everywhere} <= found
    for supplier, feed in found:
        kind = contracts[feed].supplier_kind
        assert (supplier in authorities) == (kind == "local_authority"), feed
    icb = {feed for supplier, feed in found if supplier == "moorvale_icb"}
    assert {"pds_demographics", "sus_apc", "sus_op", "sus_ecds"} <= icb
    deliveries = [p for p in landing.glob("*/*/*") if p.is_dir()]
    assert 20 <= len(deliveries) <= 90
    assert not list(landing.rglob("*.parquet"))


def test_headers_are_those_of_the_contract(home: Path, contracts: dict[str, Contract]) -> None:
    known = {
        (c.physical_name, *c.aliases)
        for table in contracts["ssda903"].tables.values()
        for c in table.columns
    }
    names = {name for group in known for name in group}
    for path in (home / "landing").glob("*/ssda903/*/*.csv"):
        encoding = "cp1252" if "carrowdale" in path.parts else "utf-8-sig"
        assert set(_read(path, encoding).columns) <= names


def test_each_supplier_writes_in_its_own_way(home: Path) -> None:
    landing = home / "landing"
    bom = b"\xef\xbb\xbf"
    assert all(p.read_bytes().startswith(bom) for p in landing.glob("brackenford/ssda903/*/*.csv"))
    for path in landing.glob("carrowdale/school_census/*/*pupilonroll.csv"):
        with pytest.raises(UnicodeDecodeError):
            path.read_bytes().decode("utf-8")
    (header,) = landing.glob("ashmere/ssda903/2024/header.csv")
    assert set(_read(header, "utf-8")["SEX"]) <= {"1", "2"}
    (header,) = landing.glob("ashmere/ssda903/2025/header.csv")
    assert set(_read(header, "utf-8")["SEX"]) <= {"M", "F"}


def test_the_school_census_looks_like_collect(home: Path) -> None:
    (path,) = (home / "landing").glob("ashmere/school_census/2025-spring/*_pupilonroll.csv")
    pupils = _read(path, "utf-8")
    clean = pupils["dob"].str.contains(r"^\d{4}-[A-Z][a-z]{2}-\d{2} 00:00:00$")
    assert clean.mean() > 0.98
    assert pupils["termlysessionspossible"].drop_nulls().str.contains(r"^\d+\.0$").all()
    assert set(pupils["parttime"]) == {"True", "False"}
    assert pupils["upn"].drop_nulls().str.contains(r"^[A-Z]\d{11}[0-9A-Z]$").all()


def test_reported_absence_never_exceeds_possible_sessions(home: Path) -> None:
    folder = home / "landing/ashmere/school_census/2025-autumn"
    pupils = _read(folder / "2025_autumn_pupilonroll.csv", "utf-8").unique("pupilonrolltableid")
    for half, column in (
        ("termly", "termlysessionspossible"),
        ("summerhalfterm2", "summerhalfterm2sessionspossible"),
    ):
        reasons = _read(folder / f"2025_autumn_{half}sessiondetailsonroll.csv", "utf-8")
        absent = (
            reasons.filter(~pl.col("attendancereason").is_in(["Y1", "Q"]))
            .group_by("pupilonrolltableid")
            .agg(pl.col("sessions").cast(pl.Float64).sum())
        )
        both = absent.join(pupils, on="pupilonrolltableid")
        assert both.height > 100
        assert (both["sessions"] <= both[column].cast(pl.Float64)).all()


def test_manifests_tell_the_truth(home: Path) -> None:
    manifests = list((home / "landing").rglob("manifest.json"))
    assert len(manifests) > 5
    for path in manifests:
        for name, facts in json.loads(path.read_text())["files"].items():
            content = (path.parent / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == facts["sha256"]


def test_truth_gives_the_person_of_every_row(home: Path) -> None:
    records = pl.read_parquet(home / "truth/record.parquet")
    persons = pl.read_parquet(home / "truth/person.parquet")
    assert records["person_id"].is_in(persons["person_id"].implode()).all()
    (path,) = (home / "landing").glob("moorvale_icb/pds_demographics/*/PDS_Person.csv")
    spine = _read(path, "utf-8").with_row_index("row_number", offset=1)
    people = records.filter(pl.col("feed") == "pds_demographics", pl.col("table") == "person")
    rows = people.join(spine.with_columns(pl.col("row_number").cast(pl.Int64)), on="row_number")
    assert rows.height == spine.height
    named = rows.join(persons, on="person_id")
    assert (named["NHS Number"] == named["nhs_number"]).mean() > 0.98
    assert (named["Date of Birth"] == named["birth"].cast(pl.String)).mean() > 0.98


def test_faults_are_where_the_truth_says(home: Path) -> None:
    faults = pl.read_parquet(home / "truth/fault.parquet")
    assert set(faults["fault"]) == {"unparseable_date", "missing_key", "duplicate_row"}
    assert set(faults["feed"]) >= {"sus_apc", "pds_demographics", "school_census", "cin_census"}
    spells = faults.filter(pl.col("feed") == "sus_apc", pl.col("period") == "2024-03")
    path = home / "landing/moorvale_icb/sus_apc/2024-03/spell.csv"
    table = _read(path, "utf-8")
    for row, fault in spells.select("row_number", "fault").iter_rows():
        record = table.row(row - 1, named=True)
        if fault == "missing_key":
            assert record["PRIMARYKEY_ID"] is None
        elif fault == "duplicate_row":
            assert table.filter(pl.col("PRIMARYKEY_ID") == record["PRIMARYKEY_ID"]).height == 2
        else:
            assert not record["spell.admission.date"].endswith("T00:00:00")


def test_a_correction_is_sent_again_without_its_faults(home: Path) -> None:
    folder = home / "landing/brackenford/ssda903"
    assert (folder / "2025__v2/manifest.json").exists()
    faults = pl.read_parquet(home / "truth/fault.parquet")
    assert faults.filter(pl.col("version") == "2").is_empty()


def test_the_reference_file_covers_every_address(home: Path) -> None:
    reference = pl.read_csv(home / "reference/postcodes.csv", infer_schema=False)
    assert {"pcds", "doterm", "oslaua", "lsoa11", "lsoa21", "msoa21"} <= set(reference.columns)
    assert reference["pcds"].n_unique() == reference.height
    addresses = pl.read_parquet(home / "truth/address.parquet")
    assert addresses["postcode"].is_in(reference["pcds"].implode()).all()


@pytest.mark.parametrize("year", ["2024", "2025"])
def test_the_cin_census_fits_the_schema_but_for_its_faults(home: Path, year: str) -> None:
    schema = SHARED / f"samples/cin_census/xsd/CIN_schema_{year}.xsd"
    if not schema.exists():
        pytest.skip("../shared is not beside the project")
    (path,) = (home / f"landing/ashmere/cin_census/{year}").glob("*.xml")
    check = etree.XMLSchema(file=str(schema))
    check.validate(etree.parse(str(path)))
    faults = pl.read_parquet(home / "truth/fault.parquet").filter(
        pl.col("feed") == "cin_census", pl.col("supplier") == "ashmere", pl.col("period") == year
    )
    assert len(check.error_log) == faults.height


def test_it_scales_without_surprises(tmp_path: Path, contracts: dict[str, Contract]) -> None:
    steps: list[str] = []
    summary = synthesise(
        tmp_path,
        children=3000,
        local_authorities=1,
        years=(2025, 2025),
        contracts=contracts,
        progress=lambda what, step, of: steps.append(what),
    )
    assert isinstance(summary, Summary)
    assert summary.rows > 20_000
    assert summary.local_authorities == ("Ashmere",)
    assert steps[0] == "population"
    assert steps[-1] == "truth"


def test_there_are_only_so_many_invented_authorities(
    tmp_path: Path, contracts: dict[str, Contract]
) -> None:
    with pytest.raises(LinkedCypError, match="between 1 and"):
        synthesise(tmp_path, children=10, local_authorities=40, contracts=contracts)
