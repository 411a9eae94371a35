"""What protects somebody fails closed when it is read: flags, adoption, lists of opt-outs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.identity.exclusions import exclusions
from linked_cyp.ingest.readers import SourceFile, stage_delivery
from linked_cyp_tests.deliveries_support import land, memory_store, take

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")
FLAGS = ("IS_SPINE_SENSITIVE", "IS_CONFIDENTIAL", "IS_DUMMY_PATIENT", "LDS_IS_DELETED")
HASHED = "ad13c3cc1d5fc0555b42c9815e90baac958c8cbe1316cf18ea2d282195cb6a3e"
UNREADABLE = ("-1", "S", "R", "2", "1.00", "Sensitive", "unknown", "J", "x", "\u2713")
NO = ("FALSE", "0", "n", "No", "", "NULL")
REFUSES_OTHERS = "of opt-outs holds its own columns only"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with memory_store() as connection:
        yield connection


def patients(**flags: str) -> dict[str, str]:
    columns = ["ID", "NHS_NUMBER_HASH", "GENDER_CODE", "BIRTH_YEAR", "BIRTH_MONTH", *flags]
    row = ["PT1", HASHED, "female", "2011", "2", *flags.values()]
    return {"PATIENT.csv": f"{','.join(columns)}\n{','.join(row)}\n"}


def excluded(con: duckdb.DuckDBPyConnection, feed: str, table: str) -> set[str]:
    """Reasons for which some accepted row takes its person out of linkage."""
    return {
        e.reason
        for e in exclusions([CONTRACTS[feed]])
        if e.table == table
        and con.execute(f"FROM identifiable.raw.{feed}__{table} t WHERE {e.condition()}").fetchone()
    }


def take_patient(con: duckdb.DuckDBPyConnection, root: Path, **flags: str) -> str:
    contract = CONTRACTS["gp_olids"]
    outcome = take(
        con,
        contract,
        land(root, patients(**flags), supplier="icb", feed="gp_olids", name="2025-03-31"),
    )
    return outcome.reason or ""


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("written", UNREADABLE)
def test_a_protective_flag_that_cannot_be_read_is_set(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, flag: str, written: str
) -> None:
    row = staged_flag(con, tmp_path, flag, written)
    assert row is True


@pytest.mark.parametrize("written", NO)
def test_a_flag_that_says_no_or_nothing_is_not_set(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, written: str
) -> None:
    assert staged_flag(con, tmp_path, "IS_SPINE_SENSITIVE", written) in (False, None)


def staged_flag(con: duckdb.DuckDBPyConnection, root: Path, flag: str, written: str) -> bool | None:
    contract = CONTRACTS["gp_olids"]
    flags = {**dict.fromkeys(FLAGS, "FALSE"), flag: written}
    path = root / "PATIENT.csv"
    path.write_text(patients(**flags)["PATIENT.csv"], encoding="utf-8")
    name = next(c.name for c in contract.tables["patient"].columns if c.physical_name == flag)
    file = SourceFile(0, path.name, path)
    with stage_delivery(con, contract, [file], root / "work", 2025) as staged:
        relation = staged.tables["patient"].relation
        return con.execute(f"SELECT {name} FROM {relation}").fetchall()[0][0]


def test_a_delivery_without_the_column_that_protects_is_refused_by_its_name(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    reason = take_patient(con, tmp_path, IS_SPINE_SENSITIVE="FALSE")
    assert "has no column is_confidential, which protects people" in reason
    assert "is_spine_sensitive" not in reason


EPISODES = (
    "CHILD,DECOM,RNE,LS,CIN,PLACE,PLACE_PROVIDER,DEC,REC,REASON_PLACE_CHANGE,HOME_POST,PL_POST,URN\n"
    "101,01/04/2024,S,C2,N1,U1,PR1,03/06/2024,{},,AY1 0EN,AY1 0SB,XXXXXXX\n"
)
HEADER = "CHILD,SEX,DOB,ETHNIC,UPN,MOTHER,MC_DOB\n101,1,05/12/2010,WBRI,UN3,,\n"
ADOPTED = ("E11", "e12", "E11 - Adopted", "E12: consent dispensed with", "Adopted", "E11.0")


@pytest.mark.parametrize("written", [*ADOPTED, "E4A", "E110", "E13 - Left to relatives", "X1"])
def test_an_adoption_counts_in_whatever_spelling(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, written: str
) -> None:
    files = {"episodes.csv": EPISODES.format(written), "header.csv": HEADER}
    take(con, CONTRACTS["ssda903"], land(tmp_path, files, feed="ssda903"))
    found = excluded(con, "ssda903", "episodes")
    assert found == ({"adoption"} if written in ADOPTED else set())


LISTS = {
    "national_data_opt_out": ("reply.csv", "nhs_number,opted_out\n9990001065,Y\n"),
    "type1_opt_out": (
        "type1_opt_out.csv",
        "nhs_number,concept_code,recorded_date,revoked\n9990392404,827241000000103,2021-08-27,N\n",
    ),
    "local_objection": (
        "objection.csv",
        "subject_ref,scheme,authority,scope,received_date,withdrawn_date,still objects\n"
        "9990392404,nhs,,all,2025-09-01,,yes\n",
    ),
}


@pytest.mark.parametrize("feed", LISTS)
def test_a_list_with_a_column_that_is_not_declared_is_refused(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, feed: str
) -> None:
    name, text = LISTS[feed]
    files = {name: text}
    folder = land(tmp_path, files, supplier="icb", feed=feed, name="2025-09-30")
    outcome = take(con, CONTRACTS[feed], folder)
    assert outcome.status == "rejected"
    assert REFUSES_OTHERS in (outcome.reason or "")
    lines = ["".join(line.rsplit(",", 1)[0] + "\n") for line in text.splitlines()]
    kept = land(tmp_path, {name: "".join(lines)}, supplier="icb", feed=feed, name="2025-10-01")
    assert take(con, CONTRACTS[feed], kept).status == "accepted"


FLAG_LIST = "nhs_number,is_consent_93c1,is_national_data_opted_in\n9990392404,FALSE,TRUE\n"


@pytest.mark.parametrize("lost", [1, 2])
def test_a_list_of_flags_without_a_flag_is_refused_by_its_name(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, lost: int
) -> None:
    whole = {"status.csv": LISTS["type1_opt_out"][1].replace(",revoked", "").replace(",N\n", "\n")}
    lines = [line.split(",") for line in FLAG_LIST.splitlines()]
    column = CONTRACTS["type1_opt_out"].tables["gp_flag"].columns[lost].name
    cut = "".join(",".join(line[:lost] + line[lost + 1 :]) + "\n" for line in lines)
    for day, flags in (("2025-09-30", FLAG_LIST), ("2025-10-30", cut)):
        files = whole | {"patient.csv": flags}
        folder = land(tmp_path, files, supplier="icb", feed="type1_opt_out", name=day)
        outcome = take(con, CONTRACTS["type1_opt_out"], folder)
        assert outcome.status == ("rejected" if flags is cut else "accepted"), outcome.reason
    assert f"gp_flag has no column {column}" in (outcome.reason or "")


def without(text: str, column: str) -> str:
    lines = [line.split(",") for line in text.splitlines()]
    lost = lines[0].index(column)
    return "".join(",".join(line[:lost] + line[lost + 1 :]) + "\n" for line in lines)


@pytest.mark.parametrize(
    ("column", "name"), [("REC", "episode_end_reason_code"), ("PLACE", "placement_type_code")]
)
@pytest.mark.parametrize("beside", [False, True])
def test_episodes_that_cannot_say_who_was_adopted_are_refused_from_the_first_delivery_on(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, column: str, name: str, beside: bool
) -> None:
    """Also where another file of the same return has the column."""
    whole = EPISODES.format("E11")
    files = {"header.csv": HEADER, "episodes.csv": without(whole, column)}
    if beside:
        files["episodes_2.csv"] = whole.replace("101,01/04/2024", "101,01/05/2024")
    outcome = take(con, CONTRACTS["ssda903"], land(tmp_path, files, feed="ssda903"))
    assert f"episodes has no column {name}, which protects people" in (outcome.reason or "")
    assert outcome.accepted == 0
