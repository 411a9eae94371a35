"""The engine of the DfE's rules, mechanism by mechanism, on returns of a few rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import duckdb
import polars as pl
import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.dfe_rules import has_rules, load_rules, run_rules, runnable_rules
from linked_cyp.dfe_rules.delivery import stored_counts
from linked_cyp.dfe_rules.engine import waiting_rules
from linked_cyp.dfe_rules.mechanisms import condition
from linked_cyp.dfe_rules.rules import definitions, tables_read


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def table(con: duckdb.DuckDBPyConnection, **columns: list[Any]) -> duckdb.DuckDBPyRelation:
    return con.from_arrow(pl.DataFrame(columns, strict=False).to_arrow())


def failing(
    con: duckdb.DuckDBPyConnection, code: str, year: int = 2024, feed: str = "ssda903", **given: Any
) -> set[tuple[str, int | None]]:
    last = given.pop("last", None)
    metadata = given.pop("metadata", None)
    tables = {name: table(con, **columns) for name, columns in given.items()}
    before = {name: table(con, **columns) for name, columns in (last or {}).items()}
    found = run_rules(con, feed, year, tables, before, metadata, codes=[code])
    return set(found.select('"table"', "row_id").fetchall())


def test_a_code_must_be_one_of_the_year(con: duckdb.DuckDBPyConnection) -> None:
    episodes = {"CHILD": ["a", "b", "c"], "PLACE": ["H5", "K3", None]}
    assert failing(con, "146", 2024, Episodes=episodes) == {("Episodes", 1)}
    assert failing(con, "146", 2025, Episodes=episodes) == {("Episodes", 0)}


def test_blank_passes_a_code_rule_but_not_a_required_one(con: duckdb.DuckDBPyConnection) -> None:
    assert failing(con, "120", PlacedAdoption={"REASON_PLACED_CEASED": [None, "", "RD1"]}) == {
        ("PlacedAdoption", 1)
    }
    assert failing(con, "103", Header={"ETHNIC": [None, "", "WBRI"]}) == {
        ("Header", 0),
        ("Header", 1),
    }


def test_a_date_is_read_as_written_and_as_typed(con: duckdb.DuckDBPyConnection) -> None:
    written = {"DECOM": ["1/4/2023", "2023-04-01", "31/02/2023", "01/04/23", "45017", None]}
    assert failing(con, "141", Episodes=written) == {("Episodes", n) for n in (2, 3, 4)}
    typed = {"DECOM": [date(2024, 4, 1), date(2024, 3, 31)]}
    assert failing(con, "354", Episodes=typed) == {("Episodes", 0)}


def test_numbers_are_read_as_their_codes(con: duckdb.DuckDBPyConnection) -> None:
    assert failing(con, "181", OC2={"CONVICTED": [1.0, 0.0, 2.0, None]}) == {("OC2", 2)}


def test_one_of_a_group_asks_for_all(con: duckdb.DuckDBPyConnection) -> None:
    rows = {"DEC": ["01/05/2023", None, None, "x"], "REC": [None, "E2", None, "E2"]}
    assert failing(con, "148", Episodes=rows) == {("Episodes", 0), ("Episodes", 1)}


def test_episodes_are_compared_in_order_of_their_start(con: duckdb.DuckDBPyConnection) -> None:
    rows = {
        "CHILD": ["a", "a", "b", "a"],
        "DECOM": ["01/06/2023", "01/04/2023", "01/07/2023", "01/08/2023"],
        "DEC": ["01/08/2023", "02/06/2023", None, None],
    }
    assert failing(con, "501", Episodes=rows) == {("Episodes", 0)}


def test_a_rule_across_tables_flags_rows_of_both(con: duckdb.DuckDBPyConnection) -> None:
    found = failing(
        con,
        "358",
        Episodes={
            "CHILD": ["a", "b"],
            "LS": ["J1", "J1"],
            "DECOM": ["01/05/2023", "01/05/2023"],
        },
        Header={"CHILD": ["b", "a"], "DOB": ["01/05/2013", "02/05/2013"]},
    )
    assert found == {("Episodes", 0), ("Header", 1)}


def test_absence_repetition_and_disagreement(con: duckdb.DuckDBPyConnection) -> None:
    header = {"CHILD": ["a", "a"], "DOB": ["01/01/2010", "01/01/2010"]}
    assert failing(con, "INT05", Header=header, OC2={"CHILD": ["a", "z"]}) == {("OC2", 1)}
    assert failing(con, "INT32", Header=header) == {("Header", 0), ("Header", 1)}
    oc2 = {"CHILD": ["a", "z"], "DOB": ["02/01/2010", "02/01/2010"]}
    assert failing(con, "INT14", Header=header, OC2=oc2) == {("OC2", 0)}


def test_last_year_is_compared_only_when_given(con: duckdb.DuckDBPyConnection) -> None:
    header = {"CHILD": ["a", "b"], "DOB": ["01/01/2010", "01/01/2011"]}
    before = {"Header": {"CHILD": ["a", "b"], "DOB": ["01/01/2010", "01/01/2012"]}}
    assert failing(con, "203", Header=header) == set()
    assert failing(con, "203", Header=header, last=before) == {("Header", 1)}


def test_a_rule_waits_for_the_columns_and_facts_it_needs(con: duckdb.DuckDBPyConnection) -> None:
    def runs(code: str, episodes: dict[str, list[Any]], metadata: dict[str, Any]) -> bool:
        given = {"Episodes": table(con, **episodes)}
        return code in {r.code for r in runnable_rules("ssda903", 2024, given, None, metadata)}

    plain = {"CHILD": ["a"], "URN": ["SC000001"]}
    assert not runs("392a", plain, {}), "distances come from postcodes, not from the return"
    assert runs("392a", plain | {"PL_DISTANCE": ["3"]}, {})
    placed = plain | {"PL_LA": ["301"], "PL_LOCATION": ["IN"]}
    assert not runs("411", placed, {})
    assert runs("411", placed, {"localAuthority": "301"})
    assert not runs("1008", plain, {})
    assert runs("1008", plain, {"provider_info": table(con, URN=["SC000001"])})


def test_periods_of_the_census_that_touch_overlap(con: duckdb.DuckDBPyConnection) -> None:
    plans = {
        "LAchildID": ["a", "a", "b", "b"],
        "CINPlanStartDate": ["01/05/2023", "01/06/2023", "01/05/2023", "02/06/2023"],
        "CINPlanEndDate": ["01/06/2023", None, "01/06/2023", None],
    }
    header = {"ReferenceDate": [date(2024, 3, 31)]}
    found = failing(con, "4014", feed="cin_census", Header=header, CINplanDates=plans)
    assert found == {("CINplanDates", 0), ("CINplanDates", 1)}


def test_the_census_year_ends_on_its_reference_date(con: duckdb.DuckDBPyConnection) -> None:
    closed = {"CINclosureDate": ["31/03/2021", "01/04/2021", "31/03/2022", "01/04/2022"]}
    header = {"ReferenceDate": [date(2022, 3, 31)]}
    found = failing(con, "8620", feed="cin_census", Header=header, CINdetails=closed)
    assert found == {("CINdetails", 0), ("CINdetails", 3)}


@pytest.mark.parametrize(
    ("upn", "fails"),
    [("B801200005001", False), ("A801200005001", True), ("R80120000500A", None)],
)
def test_check_letters_of_permanent_and_temporary_numbers(
    con: duckdb.DuckDBPyConnection, upn: str, fails: bool | None
) -> None:
    """A temporary number's last letter counts as 0 to 22, thirteen times."""
    if fails is None:
        digits = [int(d) * w for w, d in enumerate(upn[1:12], start=2)]
        right = "ABCDEFGHJKLMNPQRTUVWXYZ"[(sum(digits) + 0 * 13) % 23]
        fails = upn[0] != right
    found = failing(con, "1510", feed="cin_census", ChildIdentifiers={"UPN": [upn]})
    assert found == ({("ChildIdentifiers", 0)} if fails else set())


def test_factors_of_an_assessment_come_from_their_own_table(
    con: duckdb.DuckDBPyConnection,
) -> None:
    ids = {"LAchildID": ["a", "b"], "CINdetailsID": ["1", "2"], "AssessmentID": ["1", "2"]}
    factors = {name: [value[0]] * 2 for name, value in ids.items()} | {
        "AssessmentFactors": ["16A", "16A"]
    }
    found = failing(
        con, "8898", feed="cin_census", Assessments=ids, FactorsIdentifiedAtAssessment=factors
    )
    assert found == {("Assessments", 0)}


def test_a_finding_about_the_whole_return_has_no_row(con: duckdb.DuckDBPyConnection) -> None:
    found = failing(
        con, "2887Q", feed="cin_census", Disabilities={"LAchildID": ["a"], "Disability": ["LD"]}
    )
    assert found == {("Disabilities", None)}


def test_row_numbers_are_the_callers_where_given(con: duckdb.DuckDBPyConnection) -> None:
    header = {"row_id": [70, 71], "DOB": ["x", "01/01/2010"]}
    assert failing(con, "102", Header=header) == {("Header", 70)}


def test_nothing_of_a_run_is_left_but_its_result(con: duckdb.DuckDBPyConnection) -> None:
    failing(con, "501", Episodes={"CHILD": ["a"], "DECOM": ["01/04/2023"]})
    assert con.sql("SELECT table_name FROM duckdb_tables()").fetchall() == [("dfe_failures",)]
    assert con.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall() == []


def test_rules_are_known_for_their_years_only() -> None:
    assert has_rules("ssda903", 2027)
    assert not has_rules("cin_census", 2027)
    assert not has_rules("school_census", 2024)
    with pytest.raises(LinkedCypError, match="no validation rules of cin_census for 2027"):
        load_rules("cin_census", 2027)
    with pytest.raises(LinkedCypError, match="no validation rules for school_census"):
        load_rules("school_census", 2024)


def test_an_entry_names_one_mechanism() -> None:
    def no_codes(name: str) -> list[str]:
        raise AssertionError(name)

    with pytest.raises(LinkedCypError, match="names 0 mechanisms"):
        condition({"code": "1"}, "Header", "CHILD", no_codes)
    with pytest.raises(LinkedCypError, match="names 2 mechanisms"):
        condition({"code": "1", "where": "x", "required": "y"}, "Header", "CHILD", no_codes)
    with pytest.raises(LinkedCypError, match="needs a table"):
        condition({"code": "1", "required": "y"}, None, "CHILD", no_codes)


def test_a_run_that_fails_names_the_rule_and_no_value(con: duckdb.DuckDBPyConnection) -> None:
    broken = con.sql("SELECT 'a' AS CHILD, ('secret' || range)::INTEGER AS DECOM FROM range(2)")
    with pytest.raises(LinkedCypError, match="rule 501: ConversionException") as error:
        run_rules(con, "ssda903", 2024, {"Episodes": broken}, codes=["501"])
    assert "secret" not in str(error.value)
    assert con.sql("SELECT table_name FROM duckdb_tables()").fetchall() == [("dfe_failures",)]


def test_a_stored_return_gives_counts_by_rule(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        "CREATE TABLE header AS SELECT 'a' AS child_id, '1' AS sex_code, "
        "DATE '2030-01-01' AS birth_date, true AS is_mother, 7 AS ingest_id "
        "UNION ALL SELECT 'a', '9', DATE '2010-01-01', NULL, 7"
    )
    contract = load_contracts(PROJECT_ROOT / "data_contracts")["ssda903"]
    counts = stored_counts(con, contract, 2024, {"header": "header"})
    assert {code: counts[code] for code in ("101", "102", "301", "611", "INT32")} == {
        "101": 1,
        "102": 0,
        "301": 1,
        "611": 1,
        "INT32": 2,
    }
    assert "141" not in counts, "there are no episodes to judge"
    assert con.sql("SELECT table_name FROM duckdb_tables()").fetchall() == [("header",)]


def test_rows_without_a_child_are_in_no_sequence(con: duckdb.DuckDBPyConnection) -> None:
    rows = {
        "CHILD": [None, None, "a", "a"],
        "DECOM": ["01/04/2023", "01/05/2023"] * 2,
        "DEC": ["01/06/2023", None] * 2,
    }
    assert failing(con, "501", Episodes=rows) == {("Episodes", 3)}


def test_missing_between_two_periods_of_care_is_missing_before_one_starts(
    con: duckdb.DuckDBPyConnection,
) -> None:
    episodes = {
        "CHILD": ["a", "a", "b", "b", "c"],
        "DECOM": ["01/04/2023", "01/12/2023", "01/04/2023", "01/12/2023", "01/12/2023"],
        "DEC": ["01/05/2023", None, "01/12/2023", None, None],
    }
    missing = {"CHILD": ["a", "b", "c"], "MIS_START": ["01/06/2023"] * 3}
    found = failing(con, "581", Episodes=episodes, Missing=missing)
    assert found == {("Missing", 0), ("Missing", 2)}


def test_the_episode_after_a_temporary_placement_fails_where_it_is_another(
    con: duckdb.DuckDBPyConnection,
) -> None:
    episodes = {
        "CHILD": ["a"] * 3 + ["b"] * 3,
        "DECOM": ["01/05/2023", "01/06/2023", "10/06/2023"] * 2,
        "PLACE": ["U1", "T1", "U2", "U1", "T1", "U1"],
        "RNE": ["S", "P", "P"] * 2,
    }
    assert failing(con, "383", Episodes=episodes) == {("Episodes", 2)}


def test_need_is_compared_within_a_period_of_care(con: duckdb.DuckDBPyConnection) -> None:
    episodes = {
        "CHILD": ["a", "a", "b", "b"],
        "DECOM": ["01/05/2023", "01/06/2023", "01/05/2023", "01/07/2023"],
        "DEC": ["01/06/2023", None, "01/06/2023", None],
        "REC": ["X1", None, "E4A", None],
        "RNE": ["S", "P", "S", "S"],
        "CIN": ["N1", "N2", "N1", "N2"],
    }
    assert failing(con, "504", Episodes=episodes) == {("Episodes", 1)}


def test_leaving_on_the_last_day_is_having_been_there_all_year(
    con: duckdb.DuckDBPyConnection,
) -> None:
    episodes = {
        "CHILD": ["a", "a", "b"],
        "DECOM": ["01/01/2022", "01/02/2024", "01/01/2022"],
        "DEC": ["01/02/2024", "31/03/2024", "30/03/2024"],
        "REC": ["X1", "E4A", "E4A"],
        "RNE": ["S", "L", "S"],
    }
    assert failing(con, "191", Episodes=episodes, OC2={"CHILD": ["z"]}) == {("Episodes", 0)}


def test_the_last_social_worker_episode_may_be_open_and_an_earlier_one_not(
    con: duckdb.DuckDBPyConnection,
) -> None:
    rows = {
        "CHILD": ["a", "a", "b", "b"],
        "SW_DECOM": ["01/05/2023", "01/06/2023", "01/05/2023", "01/06/2023"],
        "SW_DEC": [None, None, "01/06/2023", None],
    }
    assert failing(con, "SW14STG2", SWEpisodes=rows) == {("SWEpisodes", 0)}


def test_a_new_episode_that_needs_a_continuation_may_have_no_start(
    con: duckdb.DuckDBPyConnection,
) -> None:
    episodes = {"CHILD": ["a"], "DECOM": [None], "DEC": ["01/06/2023"], "REC": ["X1"]}
    assert failing(con, "388", Episodes=episodes) == {("Episodes", 0)}


def directory(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
    return table(
        con,
        postcode=["AB12CD", "NW105AB", "JE11AA", "CF101AA", "CB11AA", "PE131AA"],
        la_code=["E06000001", "E09000005", None, "W06000015", "E07000008", "E07000010"],
    )


def test_the_area_of_a_placement_is_that_of_its_postcode(con: duckdb.DuckDBPyConnection) -> None:
    """Written in any way; islands that no directory has an area for are known by their letters."""
    places = {"postcode_directory": directory(con)}
    episodes = {
        "CHILD": ["a", "b", "c", "d", "e", "f"],
        "LS": ["C2", "C2", "C2", "V3", "C2", "C2"],
        "PL_POST": ["ab1 2cd", "ZZ9 9ZZ", "JE1 1AA", "NW10 5AB", None, "IM1 1AA"],
    }
    assert failing(con, "169", Episodes=episodes, metadata=places) == {
        ("Episodes", 1),
        ("Episodes", 4),
    }
    assert failing(con, "420", Episodes=episodes, metadata=places) == {("Episodes", 3)}
    assert failing(con, "169", Episodes=episodes) == set(), "without a directory it does not run"
    abroad = {
        "CHILD": ["a", "b", "c"],
        "URN": ["SC1"] * 3,
        "PL_POST": ["CF10 1AA", "JE1 1AA", "AB1 2CD"],
    }
    outside = failing(con, "243", 2026, Episodes=abroad, metadata=places)
    assert outside == {("Episodes", 0), ("Episodes", 1)}


def test_what_a_return_gives_itself_is_not_made_anew(con: duckdb.DuckDBPyConnection) -> None:
    episodes = {"CHILD": ["a"], "LS": ["C2"], "PL_POST": ["ZZ9 9ZZ"], "PL_LA": ["301"]}
    places = {"postcode_directory": directory(con)}
    assert failing(con, "169", Episodes=episodes, metadata=places) == set()


def test_one_directory_is_for_both_years(con: duckdb.DuckDBPyConnection) -> None:
    def of(postcode: str) -> dict[str, list[Any]]:
        one = {"CHILD": "a", "RNE": "S", "LS": "C2", "DECOM": "01/05/2022", "PL_POST": postcode}
        return {name: [value] for name, value in one.items()}

    given = {"metadata": {"postcode_directory": directory(con)}}
    moved = failing(con, "452", Episodes=of("AB1 2CD"), last={"Episodes": of("NW10 5AB")}, **given)
    assert moved == {("Episodes", 0)}
    same = failing(con, "452", Episodes=of("AB1 2CD"), last={"Episodes": of("AB12CD")}, **given)
    assert same == set()
    in_a_county = failing(
        con, "452", Episodes=of("CB1 1AA"), last={"Episodes": of("PE13 1AA")}, **given
    )
    assert in_a_county == set(), "two districts of one county"


def test_what_a_rule_lacks_is_said_by_name(con: duckdb.DuckDBPyConnection) -> None:
    given = {"OC3": table(con, CHILD=["a"]), "Episodes": table(con, CHILD=["a"])}
    waiting = waiting_rules("ssda903", 2024, given)
    assert waiting["203"] == "needs Header and Header of last year's return"
    assert waiting["1001"] == waiting["1002"] == "needs Episodes of last year's return"
    assert waiting["SW11bSTG2"] == "needs SWEpisodes"
    assert waiting["1008"] == "needs Ofsted's list of providers"
    assert waiting["169"].startswith("needs a directory of postcodes")
    assert waiting["392a"].startswith("needs the distance of placements")
    assert waiting["411"].endswith("and the authority's own code")
    with_places = waiting_rules(
        "ssda903", 2024, given, None, {"postcode_directory": directory(con)}
    )
    assert waiting.keys() - with_places.keys() == {"169", "218", "230", "420"}
    assert with_places["392a"].startswith("needs the distance of placements")
    assert "directory of postcodes, for" not in "".join(with_places.values())
    runs = {rule.code for rule in runnable_rules("ssda903", 2024, given)}
    assert runs | waiting.keys() == {rule.code for rule in load_rules("ssda903", 2024)}
    assert not runs & waiting.keys()


def test_an_element_that_no_child_has_is_a_table_without_rows(
    con: duckdb.DuckDBPyConnection,
) -> None:
    closed = {"LAchildID": ["a"], "CINdetailsID": ["1"], "ReasonForClosure": ["RC8"]}
    assert waiting_rules("cin_census", 2024, {"CINdetails": table(con, **closed)}) == {}
    found = failing(con, "8825Q", feed="cin_census", CINdetails=closed)
    assert found == {("CINdetails", 0)}


def test_a_table_is_needed_wherever_a_query_names_it() -> None:
    known = definitions("ssda903")
    sql = "FROM OC3 o JOIN (FROM Episodes WHERE true) e SEMI JOIN (SELECT 1 FROM AD1_last) a"
    assert tables_read(known, sql) == {"OC3", "Episodes", "AD1_last"}


def test_the_year_is_the_census_year_even_where_the_reference_date_is_another_day(
    con: duckdb.DuckDBPyConnection,
) -> None:
    closed = {"CINclosureDate": ["31/03/2022", "01/04/2022", "31/03/2023", "01/04/2023"]}
    for header in (
        {"ReferenceDate": ["30/11/2022"]},
        {"ReferenceDate": ["30/11/2021"], "Year": ["2023"]},
    ):
        found = failing(con, "8620", 2023, feed="cin_census", Header=header, CINdetails=closed)
        assert found == {("CINdetails", 0), ("CINdetails", 3)}
