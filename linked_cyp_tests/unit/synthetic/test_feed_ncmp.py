"""The National Child Measurement Programme: the enhanced dataset and the schools' upload."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from linked_cyp.identity.identifiers import valid_nhs_number
from linked_cyp.identity.roles import ROLES
from linked_cyp.identity.tokenise import record_key_table
from linked_cyp.synthetic.growth import build_growth
from linked_cyp.synthetic.writers import ncmp
from linked_cyp_tests.feed_support import KEYS, Received, feed_contract, receive, small_world


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Received:
    return receive(tmp_path_factory.mktemp("ncmp"), small_world(), [ncmp.deliveries], "ncmp")


def test_each_authority_delivers_its_year(received: Received) -> None:
    assert [(s.supplier, s.period) for s in received.sent] == [
        ("ashmere", "2025"),
        ("brackenford", "2025"),
        ("carrowdale", "2025"),
    ]
    assert [o.status for o in received.outcomes] == ["accepted"] * 3
    for written, outcome in zip(received.written, received.outcomes, strict=True):
        assert written.rows == sum(t.received for t in outcome.tables.values())
        assert all(t.accepted + t.quarantined == t.received for t in outcome.tables.values())
        assert not any(f.undeclared or f.rule for f in outcome.files)
    assert set(received.outcomes[0].tables) == {"enhanced", "upload"}
    assert received.quarantined() == received.faults() > 0


def test_only_reception_and_year_six_are_measured_once(received: Received) -> None:
    table = received.rows("raw", "ncmp__enhanced")
    years = (table["measurement_date"] - table["birth_date"]).dt.total_days() / 365.25
    assert years.filter(table["school_year_group"] == "R").is_between(4, 6).mean() > 0.98
    assert years.filter(table["school_year_group"] == "6").is_between(10, 12).mean() > 0.98
    assert set(table["school_year_group"]) == {"R", "6"}
    measured = small_world().part(build_growth).measurements
    assert measured["person_id"].is_unique().all()


def test_the_body_mass_index_is_that_of_height_and_weight(received: Received) -> None:
    table = received.rows("raw", "ncmp__enhanced")
    bmi = table["weight_kg"] / (table["height_cm"] / 100) ** 2
    assert ((bmi - table["bmi"]).abs() < 0.01).all()
    obese = table["supplier_population_bmi_category_code"].is_in(
        ["very overweight (obese)", "severely obese"]
    )
    assert (table.filter(obese)["supplier_bmi_centile"] >= 0.95).all()
    assert (table.filter(~obese)["supplier_bmi_centile"] < 0.95).all()


def test_a_measurement_of_both_files_is_of_one_source_person(received: Received) -> None:
    con, contract = received.con, feed_contract("ncmp")
    delivery = received.outcomes[0].delivery_id
    keys = []
    for name in ("enhanced", "upload"):
        record_key_table(con, contract, contract.tables[name], KEYS, [delivery], "k")
        keys.append(
            con.execute(
                f"SELECT nhs_number, record_key FROM identifiable.raw.ncmp__{name}"
                " JOIN k USING (delivery_id, source_file, row_number) WHERE delivery_id = ?",
                [delivery],
            ).pl()
        )
    # a number that is none names nobody
    valid = valid_nhs_number(pl.col("nhs_number"))
    both = keys[0].filter(valid).join(keys[1], on="nhs_number")
    assert both.height > 10
    assert (both["record_key"] == both["record_key_right"]).all()
    assert keys[1]["record_key"].null_count() == 0  # without a number: by reference


def test_the_age_that_would_give_the_date_of_birth_away_is_not_taken(received: Received) -> None:
    assert "AgeInMonths" in feed_contract("ncmp").tables["enhanced"].not_taken
    kept = received.rows("pseudonymised", "ncmp__enhanced")
    assert not [c for c in kept.columns if "age" in c.split("_")]
    assert kept["birth_month"].dt.day().unique().to_list() == [1]


def test_it_links_by_number_name_birth_and_home() -> None:
    for table in feed_contract("ncmp").tables.values():
        roles = {c.linkage_role for c in table.columns} - {None}
        assert roles == {
            *("nhs_number", "forename", "surname", "birth_date", "sex", "postcode", "ethnicity")
        }
        assert roles - {"ethnicity"} <= set(ROLES)


def test_height_and_weight_in_each_others_place_stay_as_sent() -> None:
    world = small_world()
    measured = world.part(build_growth).measurements.head(30).with_columns(system=pl.int_range(30))
    swapped = pl.Series([True] + [False] * 29)
    sent = ncmp._upload(world, measured, swapped)
    assert sent["Height"][0] == measured["weight"][0]
    assert sent["Weight"][0] == measured["height"][0]
    assert sent["Height"][1:].equals(measured["height"][1:].alias("Height"))


@pytest.mark.parametrize(
    ("centile", "clinical", "population"),
    [
        (0.02, "underweight", "underweight"),
        (0.5, "healthy", "healthy weight"),
        (0.85, "healthy", "overweight"),
        (0.91, "overweight", "overweight"),
        (0.95, "overweight", "very overweight (obese)"),
        (0.98, "very overweight", "very overweight (obese)"),
        (0.996, "severely obese", "severely obese"),
    ],
)
def test_categories_begin_where_the_programme_says(
    centile: float, clinical: str, population: str
) -> None:
    at = np.array([centile])
    assert ncmp._category("c", at, ncmp.CLINICAL).to_list() == [clinical]
    assert ncmp._category("p", at, ncmp.POPULATION).to_list() == [population]
