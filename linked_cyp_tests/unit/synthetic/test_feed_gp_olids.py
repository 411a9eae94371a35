"""General practice records: what is read, what stays out of the warehouse, its traps."""

from __future__ import annotations

import re

import polars as pl
import pytest

from linked_cyp.contracts.model import Code, Codeset
from linked_cyp.identity.pseudonym_keys import PseudonymKey
from linked_cyp.synthetic.primary_care import ADOPTED, HEIGHT, build_primary_care
from linked_cyp.synthetic.writers import gp_olids
from linked_cyp_tests.feed_support import Received, feed_contract, receive, small_world

CONTRACT = feed_contract("gp_olids")
SENSITIVE = CONTRACT.tables["observation"].column("snomed_code").withheld


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Received:
    return receive(tmp_path_factory.mktemp("gp"), small_world(), [gp_olids.deliveries], "gp_olids")


def test_what_is_sent_is_accepted_or_set_aside(received: Received) -> None:
    (outcome,), (sent,), (written,) = received.outcomes, received.sent, received.written
    assert outcome.status == "accepted"
    assert set(outcome.tables) == set(sent.tables)
    assert written.rows == sum(t.received for t in outcome.tables.values())
    assert all(t.accepted + t.quarantined == t.received for t in outcome.tables.values())
    assert all(f.rule is None and not f.undeclared for f in outcome.files)
    planted = dict(written.faults["fault"].value_counts().iter_rows())
    assert received.quarantined() == planted["missing_key"] + planted["duplicate_row"] > 0
    orders = outcome.table("medication_order")
    assert orders.cells_blanked == planted["unparseable_date"] > 0


def test_no_name_day_of_birth_or_place_is_declared() -> None:
    names = [c.name for t in CONTRACT.tables.values() for c in t.columns]
    assert not [n for n in names if re.search(r"forename|surname|birth_date|postcode|_age|age_", n)]
    for table in CONTRACT.tables.values():
        # age at event, in days for babies, would give the day of birth away
        assert not any(c.physical_name.startswith("AGE_AT_EVENT") for c in table.columns)
    roles = {c.linkage_role for t in CONTRACT.tables.values() for c in t.columns}
    assert roles == {None, "nhs_number_hash", "sex", "birth_year", "birth_month"}


def test_the_pseudonym_is_read_and_dropped(received: Received) -> None:
    care = small_world().part(build_primary_care)
    raw = received.rows("raw", "gp_olids__patient")
    key = PseudonymKey(gp_olids.supplier_key(small_world().streams))
    expected = set(key.pseudonyms(care.patients["nhs_number"].drop_nulls()))
    assert set(raw["nhs_number_hash"].drop_nulls()) == expected
    pseudonymised = received.rows("pseudonymised", "gp_olids__patient")
    assert not {"nhs_number_hash", "sk_patient_id"} & set(pseudonymised.columns)
    assert pseudonymised["record_key"].n_unique() == raw["patient_id"].n_unique()


def test_sensitive_codes_end_with_the_raw_table(received: Received) -> None:
    assert SENSITIVE is not None
    codes = [c for c in SENSITIVE.values if not c.endswith("*")]
    raw = received.rows("raw", "gp_olids__observation")
    pseudonymised = received.rows("pseudonymised", "gp_olids__observation")
    held = raw["snomed_code"].is_in(codes).sum()
    assert held > 10
    assert ADOPTED in set(raw["snomed_code"])
    assert not pseudonymised["snomed_code"].is_in(codes).any()
    assert pseudonymised.height == raw.height
    assert pseudonymised["snomed_code"].null_count() == raw["snomed_code"].null_count() + held
    for table in ("medication_order", "medication_statement"):
        raw = received.rows("raw", f"gp_olids__{table}")
        pseudonymised = received.rows("pseudonymised", f"gp_olids__{table}")
        assert raw["bnf_code"].str.starts_with("0703").sum() > 0
        assert pseudonymised["bnf_code"].str.starts_with("0703").sum() == 0
        assert pseudonymised["bnf_code"].str.starts_with("0301").sum() > 0


def test_a_sensitive_class_takes_the_medicine_with_it(received: Received) -> None:
    """The medicine of a withheld section of the formulary is withheld, though it is not listed."""
    con = received.con
    one = "SELECT min(medication_order_id) FROM identifiable.raw.gp_olids__medication_order"
    from linked_cyp.pseudonymise.plan import withheld

    table = CONTRACT.tables["medication_order"]
    con.execute(
        "CREATE OR REPLACE TEMP TABLE orders AS SELECT * FROM"
        f" identifiable.raw.gp_olids__medication_order WHERE medication_order_id = ({one})"
    )
    for bnf, medicine, hidden in (
        ("07030100", "39113611000001102", True),
        ("03010101", "39113611000001102", False),
        (None, "86406008", True),
        ("07020000", None, False),
    ):
        con.execute("UPDATE orders SET bnf_code = ?, medicine_code = ?", [bnf, medicine])
        assert con.execute(f"SELECT {withheld(table)} FROM orders r").fetchall() == [(hidden,)]


@pytest.mark.parametrize("value", ["9990000018", "SMITH", "A&E", "123", "27113001 weight"])
def test_what_is_typed_into_a_code_ends_with_the_raw_table(value: str) -> None:
    pattern = CONTRACT.tables["observation"].column("snomed_code").pattern
    assert pattern
    assert not re.search(pattern, value)
    assert all(re.search(pattern, c) for c in ("27113001", "1082441000000108", ADOPTED))


def test_every_withheld_code_has_the_shape_of_its_column() -> None:
    assert isinstance(SENSITIVE, Codeset)
    columns = {c.name: c.pattern for t in CONTRACT.tables.values() for c in t.columns if c.withheld}
    assert columns.keys() == {"snomed_code", "medicine_code", "bnf_code"}
    for code in SENSITIVE.codes:
        assert isinstance(code, Code)
        if code.code.endswith("*"):
            assert re.search(columns["bnf_code"] or "", code.code.removesuffix("*")), code.code
        else:
            assert re.search(columns["snomed_code"] or "", code.code), code.code


def test_a_child_who_moved_has_several_records_with_copied_entries(received: Received) -> None:
    care = small_world().part(build_primary_care)
    patients = care.patients
    assert patients.filter(pl.col("person_id").is_duplicated()).height > 50
    known = care.observations.filter(pl.col("code").is_not_null()).join(
        patients.select("patient", person="person_id"), on="patient"
    )
    copies = known.height - known.select("person", "day", "code").n_unique()
    assert 0.03 < copies / known.height < 0.4
    spells = patients.sort("person_id", "begin")
    overlapping = (spells["begin"] < spells["finish"].shift(1)) & (
        spells["person_id"] == spells["person_id"].shift(1)
    )
    assert not overlapping.any()


def test_entries_hang_together_with_the_population() -> None:
    world = small_world()
    care = world.part(build_primary_care)
    persons = world.population.persons.select("person_id", "birth", "to_day")
    encounters = care.encounters.drop("person_id").join(
        care.patients.select("patient", "person_id"), on="patient"
    )
    during = encounters.join(persons, on="person_id")
    assert (during["day"] >= during["birth"]).all()
    assert (during["day"] < during["to_day"]).all()
    per_year = encounters.height / 2 / care.patients["person_id"].n_unique()
    assert 1 < per_year < 4
    early = care.observations.filter(pl.col("day") < -20_000)  # planted: dated 1900
    assert 0 < early.height < 0.01 * care.observations.height
    heights = care.observations.filter(pl.col("code") == HEIGHT)
    assert set(heights["unit"]) == {"cm", "m", None}


def test_places_and_homes_join_to_addresses(received: Received) -> None:
    addresses = received.rows("pseudonymised", "gp_olids__patient_address")
    places = received.rows("pseudonymised", "gp_olids__place")
    homes = received.rows("pseudonymised", "gp_olids__patient_uprn")
    assert addresses["place_id"].is_in(places["place_id"].implode()).all()
    assert places["lsoa21_code"].str.contains("^E0").all()
    assert homes["address_id"].sort().equals(addresses["address_id"].sort())
    assert 1 < addresses.height / homes["home_id"].n_unique() < 5
