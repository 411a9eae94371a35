"""Linking a frame from outside: whatever it holds and however it is written."""

from __future__ import annotations

import datetime as dt
import random

import polars as pl
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity.keys import Keys
from linked_cyp.linkage import link
from linked_cyp.linkage.link.frames import as_frame, identities, role_columns
from linked_cyp.linkage.report.evaluate import pairwise
from linked_cyp_tests.unit.linkage.linkage_population import Population, population

KEY = random.Random(5).randbytes(32)
PEOPLE = 120


def standardised(records) -> pl.DataFrame:
    frame = as_frame(records)
    keys = pl.Series(range(1, frame.height + 1), dtype=pl.Int64)
    return identities(frame, keys, pl.Series([""] * frame.height, dtype=pl.String))


@pytest.fixture(scope="module")
def people() -> Population:
    return population(PEOPLE)


@pytest.fixture(scope="module")
def records(people) -> pl.DataFrame:
    """Two sources, as somebody outside would hold them."""
    return people.identities.filter(pl.col("source") < 2).select(
        pl.format("r{}", "record_key").alias("record_id"),
        pl.when(pl.col("source") == 0)
        .then(pl.lit("gp"))
        .otherwise(pl.lit("school"))
        .alias("source"),
        "nhs_number",
        "upn",
        "forename",
        "surname",
        "birth_date",
        "sex",
        "postcode",
    )


@pytest.fixture(scope="module")
def linked(records):
    return link(records, KEY, with_pairs=True)


def test_links_what_belongs_together(people, linked):
    answer = linked.persons.select(
        pl.col("record_id").str.slice(1).cast(pl.Int64).alias("record_key"),
        pl.col("person_id").alias("person"),
    )
    quality = pairwise(answer, people.truth)
    assert quality.precision > 0.98
    assert quality.recall > 0.9


def test_each_record_once_and_persons_from_zero(records, linked):
    persons = linked.persons
    assert sorted(persons["record_id"]) == sorted(records["record_id"])
    assert set(persons["person_id"]) == set(range(persons["person_id"].n_unique()))
    assert linked.pairs.columns[:3] == ["record_id_l", "record_id_r", "match_weight"]
    assert set(linked.pairs["record_id_l"]) <= set(records["record_id"])


def test_order_of_rows_and_columns_changes_nothing(records, linked):
    shuffled = records.sample(fraction=1.0, shuffle=True, seed=3)[:, ::-1]
    again = link(shuffled, Keys(KEY), with_pairs=True)
    assert again.persons.equals(linked.persons)
    on = ["record_id_l", "record_id_r"]
    assert again.pairs.sort(on).equals(linked.pairs.sort(on))


def test_threshold_decides_which_pairs_join(records, linked):
    strict = link(records, KEY, threshold=1000.0).persons
    assert strict["person_id"].n_unique() == records.height


def test_arrow_and_pandas_frames(records):
    pandas = pytest.importorskip("pandas")
    expected = standardised(records)
    assert standardised(records.to_arrow()).equals(expected)
    # None and dates are objects there.
    as_pandas = pandas.DataFrame({c: records[c].to_list() for c in records.columns})
    assert standardised(as_pandas).equals(expected)
    assert standardised(records.to_dict(as_series=False)).equals(expected)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_small_frames(records, rows):
    found = link(records.head(rows), KEY, with_pairs=True)
    assert found.persons.height == rows
    assert found.persons.columns == ["record_id", "person_id"]
    assert found.pairs.height <= 1


def test_one_source_and_no_identifier_at_all():
    assert link({"record_id": [3, 1, 2]}, KEY).persons.rows() == [(1, 0), (2, 1), (3, 2)]


TWO = {
    "record_id": [1, 2],
    "forename": ["Maya", "Maya"],
    "surname": ["Oakes", "Oakes"],
    "birth_date": ["2012-03-04"] * 2,
    "postcode": ["NW10 5AB"] * 2,
}


@pytest.mark.parametrize("absent", ["forename", "surname", "birth_date", "postcode"])
def test_any_identifier_may_be_missing(absent):
    records = {**TWO, "nhs_number": ["9990000018"] * 2}
    records[absent] = [None, None]
    nowhere = {role: values for role, values in records.items() if role != absent}
    for frame in (records, nowhere):
        assert link(frame, KEY).persons["person_id"].to_list() == [0, 0]


def test_ids_that_repeat_between_sources():
    records = {**TWO, "record_id": [7, 7], "source": ["gp", "school"]}
    found = link(records, KEY, with_pairs=True)
    assert found.persons.rows() == [(7, 0, "gp"), (7, 0, "school")]
    assert found.pairs.columns[:4] == ["record_id_l", "source_l", "record_id_r", "source_r"]


def test_sources_with_one_record_for_each_person():
    records = {**TWO, "source": ["gp", "gp"]}
    assert link(records, KEY).persons["person_id"].n_unique() == 1
    apart = link(records, KEY, one_record_each=["gp"]).persons
    assert apart["person_id"].n_unique() == 2


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ({"forename": ["SECRETNAME"]}, "record_id"),
        ({"record_id": [1, 1], "forename": ["SECRETNAME"] * 2}, "2 that share one"),
        ({"record_id": [1, None]}, "1 records without one"),
        ({"record_id": [1], "forename": [{"SECRETNAME": 1}]}, "forename holds neither"),
    ],
)
def test_errors_quote_nothing(records, said):
    with pytest.raises(LinkedCypError) as caught:
        link(records, KEY)
    assert said in str(caught.value)
    assert "SECRETNAME" not in str(caught.value)


def test_a_weak_key_is_refused():
    with pytest.raises(LinkedCypError):
        link(TWO, b"short")


@pytest.mark.parametrize(
    "written",
    [
        ["2012-03-04", "2012-12-30"],
        ["2012-03-04T00:00:00", "2012-12-30 00:00:00"],
        ["04/03/2012", "30/12/2012"],
        ["4.3.2012", "30.12.2012"],
        ["03/04/2012", "12/30/2012"],  # there is no thirtieth month
        ["03042012", "12302012"],
        ["2012-03-04", "2012-30-12"],
        ["20120304", "20121230"],
        [20120304, 20121230],
        [20120304.0, 20121230.0],
        [dt.date(2012, 3, 4), dt.date(2012, 12, 30)],
        [dt.datetime(2012, 3, 4, 5), dt.datetime(2012, 12, 30)],
    ],
)
def test_dates_as_they_come(written):
    found = standardised({"record_id": [1, 2, 3], "birth_date": [*written, None]})
    assert found["birth_date"].to_list() == [dt.date(2012, 3, 4), dt.date(2012, 12, 30), None]


def test_dates_that_cannot_be_are_null():
    found = standardised({"birth_date": ["19153113", "1900-01-01", "31/02/2010", "", "soon"]})
    assert found["birth_date"].null_count() == 5


@pytest.mark.parametrize(
    "written",
    [["M", "f", "x"], ["1", "2", "9"], [1, 2, 0], [1.0, 2.0, None], ["Male", "FEMALE", ""]],
)
def test_sex_as_it_comes(written):
    assert standardised({"sex": written})["sex"].to_list() == [1, 2, None]


def test_several_values_in_lists_and_in_numbered_columns():
    found = standardised(
        {
            "surname": ["Ash", None],
            "preferred_surname": ["Birch", "Elm"],
            "former_surname": [["Cole", "Ash", None], []],
            "former_surname_2": ["Dean", None],
            "former_postcode": [["NW10 5AB", "HA1 2AB"], None],
            "postcode": ["E1 6AN", "nw105ab"],
        }
    )
    assert found["surname"].to_list() == ["ASH", "ELM"]
    assert found["other_surnames"].to_list() == [["BIRCH", "COLE", "DEAN"], []]
    assert found["postcode"].to_list() == ["E1 6AN", "NW10 5AB"]
    assert found["other_postcodes"].to_list() == [["NW10 5AB", "HA1 2AB"], []]


def test_columns_of_roles():
    columns = ["former_upn_10", "x", "former_upn_2", "upn", "upn_reason", "former_upn"]
    assert role_columns(columns) == {
        "upn": ["upn"],
        "former_upn": ["former_upn", "former_upn_2", "former_upn_10"],
    }


def test_former_numbers_are_no_conflict():
    """The second record still goes by the number that the first says was replaced."""
    records = {
        **TWO,
        "nhs_number": ["9990000018", "9990000026"],
        "former_nhs_number": [["9990000026"], None],
    }
    assert link(records, KEY).persons["person_id"].to_list() == [0, 0]
    del records["former_nhs_number"]
    assert link(records, KEY).persons["person_id"].to_list() == [0, 1]


def test_codes_of_other_countries_are_compared_as_they_are():
    found = standardised({"postcode": ["2065", "4223", " 2065", None], "nhs_number": [*"1234"]})
    assert found["postcode"].to_list() == ["2065", "4223", "2065", None]
    assert found["nhs_number"].to_list() == [*"1234"]
    mixed = standardised({"postcode": ["NW10 5AB", "HA1 2AB", "2065"]})
    assert mixed["postcode"].to_list() == ["NW10 5AB", "HA1 2AB", None]


def test_foreign_places_find_people_whose_names_differ():
    """Without a sector nothing but the names would bring the two records together."""
    records = {
        "record_id": range(2),
        "forename": ["Kylie", "Zoe"],
        "surname": ["Neumann", "Brown"],
        "birth_date": ["1915-11-11"] * 2,
        "postcode": ["2065"] * 2,
    }
    pairs = link(records, KEY, with_pairs=True, households=False).pairs
    assert pairs.height == 1


def strangers(n: int, at_home: int) -> pl.DataFrame:
    """People with a postcode each, of whom some share it and the surname with the one before."""
    draw = random.Random(1)
    rows = []
    for number in range(n):
        name = "".join(draw.choices("ABDEKLMNOPRST", k=7))
        birth = dt.date(2005, 1, 1) + dt.timedelta(days=draw.randrange(6000))
        inward = "".join(draw.choices("ABDEFGHJ", k=2))
        place = f"HA{draw.randrange(1, 9)} {draw.randrange(1, 9)}{inward}"
        surname = "".join(draw.choices("ABDEKLMNOPRST", k=9))
        if 0 < number <= at_home:
            surname, place = rows[-1]["surname"], rows[-1]["postcode"]
        rows.append(
            {
                "record_id": number,
                "forename": name,
                "surname": surname,
                "birth_date": birth,
                "postcode": place,
            }
        )
    return pl.DataFrame(rows)


def test_households_are_found_in_the_data():
    assert link(strangers(600, at_home=200), KEY).households
    assert not link(strangers(600, at_home=0), KEY).households
    assert link(strangers(100, at_home=0), KEY).households  # too few to tell


def test_another_forename_is_a_twin_only_among_relatives():
    records = {**TWO, "forename": ["Maya", "Quinto"]}
    assert link(records, KEY, households=True).persons["person_id"].n_unique() == 2
    assert link(records, KEY, households=False).persons["person_id"].n_unique() == 1
