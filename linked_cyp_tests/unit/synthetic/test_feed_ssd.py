"""The standard safeguarding dataset: what is taken, how it links, and what the demo writes."""

from __future__ import annotations

import re
from datetime import date
from itertools import islice

import polars as pl
import pytest

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.identity.encodings import Encoder
from linked_cyp.linkage import build_person_records
from linked_cyp.linkage.records.identities import read_identities, tells_children_apart
from linked_cyp.synthetic.early_help import build_early_help
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers import ssd
from linked_cyp_tests.feed_support import Received, receive, small_world
from linked_cyp_tests.support import NOT_ASKED
from linked_cyp_tests.unit.linkage.test_identities import opened, put

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")
CONTRACT = CONTRACTS["ssd"]
FACTORS = re.compile(CONTRACT.tables["assessment_factors"].column("factors_text").pattern or "")
NHS, OLD_NHS = "9990000018", "9990000034"
UPN, FORMER_UPN = "B801200005001", "M801200005000"


@pytest.fixture(scope="module")
def world() -> World:
    return small_world()


@pytest.fixture(scope="module")
def received(world, tmp_path_factory) -> Received:
    """One authority's extract: dates dd/mm/yyyy, factors as an object of answers."""
    one = [lambda world: islice(ssd.deliveries(world), 1, 2)]
    return receive(tmp_path_factory.mktemp("ssd"), world, one, "ssd")


def raw(con, table: str, columns: str = "*", rest: str = "") -> list[tuple]:
    return con.execute(f"SELECT {columns} FROM identifiable.raw.ssd__{table} {rest}").fetchall()


def test_free_text_professionals_and_offences_are_not_even_read():
    read = {c.physical_name for t in CONTRACT.tables.values() for c in t.columns}
    assert not [n for n in read if re.search(r"_desc$|offence|team|worker|prof_|nationality", n)]
    json = {n for n in read if n.endswith("_json")}
    assert json == {"cinf_assessment_factors_json"}
    assert "ssd_professionals" not in {t.physical_name for t in CONTRACT.tables.values()}
    # gender identity is not sex
    assert "pers_gender" in CONTRACT.tables["person"].not_taken


@pytest.mark.parametrize("text", ['["1A", "19C"]', '{"2B": "Yes", "3A": "No"}', "[]", '["4A"]'])
def test_factors_are_codes_and_answers(text):
    assert FACTORS.search(text)


@pytest.mark.parametrize(
    "text", ['["1A", "Mary Smith"]', '{"2B": "Mother said"}', "1A", '["1A"] and more']
)
def test_factors_with_anything_else_are_not_kept(text):
    assert not FACTORS.search(text)


def test_every_row_is_accepted_or_set_aside_as_it_was_spoilt(received):
    for written, outcome in zip(received.written, received.outcomes, strict=True):
        assert outcome.status == "accepted"
        assert outcome.received == outcome.accepted + outcome.quarantined == written.rows
        assert len(outcome.tables) >= 30
        assert outcome.table("cin_episodes").quarantined == outcome.quarantined
        spoilt = dict(written.faults["fault"].value_counts().iter_rows())
        assert outcome.quarantined == spoilt["missing_key"] + spoilt["duplicate_row"]
        assert outcome.table("cin_episodes").cells_blanked == spoilt["unparseable_date"]


def test_the_warehouse_has_the_events_and_no_identity(received):
    for table in CONTRACT.tables.values():
        raw_rows = received.rows("raw", table.table_name).height
        kept = received.rows("pseudonymised", table.table_name)
        assert kept.height == raw_rows, table.name
        if table.person_key:
            assert kept["record_key"].null_count() == 0, table.name
    person = received.rows("pseudonymised", "ssd__person")
    assert not {"forename", "surname", "nhs_number", "upn", "birth_date"} & set(person.columns)
    assert person["birth_month"].drop_nulls().dt.day().unique().to_list() == [1]
    homes = received.rows("pseudonymised", "ssd__address")
    assert homes["lsoa21_code"].null_count() < 0.1 * homes.height
    identifiers = received.rows("pseudonymised", "ssd__linked_identifiers")
    assert "identifier_value" not in identifiers.columns
    factors = received.rows("pseudonymised", "ssd__assessment_factors")["factors_text"]
    assert factors.null_count() == 0


def test_reviews_reach_their_child_through_the_period_of_care(received):
    reviews = received.rows("pseudonymised", "ssd__cla_reviews")
    episodes = received.rows("pseudonymised", "ssd__cla_episodes")
    keys = ["delivery_id", "cla_id"]
    children = episodes.select(*keys, "record_key").unique()
    assert reviews.height == reviews.join(children, on=keys).height > 0


def test_what_is_written_holds_together(received):
    con = received.con
    for table in CONTRACT.tables.values():
        for column in table.columns:
            if column.codeset and column.name not in ("placement_type_code",):
                used = {r[0] for r in raw(con, table.name, f"DISTINCT {column.name}")} - {None}
                assert used <= set(column.codeset.values), (table.name, column.name)
    for table in CONTRACT.tables.values():
        for link in table.relationships:
            ours, theirs = link.columns[0], link.to_columns[0]
            orphans = raw(
                con,
                table.name,
                "count(*)",
                f"t WHERE {ours} IS NOT NULL AND NOT EXISTS (FROM identifiable.raw.ssd__"
                f"{link.to_table} p WHERE p.delivery_id = t.delivery_id AND p.{theirs} = t.{ours})",
            )
            # only the referrals that were spoilt are missed
            assert orphans[0][0] <= (8 if link.to_table == "cin_episodes" else 0), table.name


def test_every_referral_began_with_a_contact_and_early_help_does_not_overlap(world):
    told = world.part(build_early_help)
    first = told.contacts.filter(pl.col("referral_id").is_not_null())
    referrals = first.join(world.need.referrals, on=["referral_id", "person_id"], suffix="_r")
    assert first.height == referrals.height > 100
    assert (referrals["day"] <= referrals["day_r"]).all()
    assert told.contacts.height > 1.5 * first.height
    starts = told.episodes.sort("person_id", "start")
    overlap = (pl.col("end").shift(1).over("person_id") >= pl.col("start")).fill_null(False)
    assert starts.height > 50
    assert not starts.select(overlap.any()).item()


def test_child_ids_are_those_of_the_returns(world):
    known = world.registrations.social_care.select(
        "person_id", "area", id=pl.coalesce("reissued_local_id", "child_local_id")
    )
    children = world.part(build_early_help).children
    both = children.join(known, on=["person_id", "area"])
    assert both.height == known.height
    assert (both["id"] == both["child_id"]).all()
    assert children.select("area", "child_id").is_duplicated().sum() == 0
    assert children.height > known.height  # early help alone is not in a return


def test_names_and_numbers_of_every_kind_reach_the_linkage(tmp_path):
    child = {"child_id": "C1", "birth_date": date(2012, 3, 4), "sex_code": "F"}
    named = {"forename": "Ada", "surname": "O'Neill", "nhs_number": NHS}
    numbers = [
        ("Unique Pupil Number", UPN, None),
        ("unique pupil number ", FORMER_UPN, date(2020, 9, 1)),
        ("NHS Number", OLD_NHS, date(2019, 1, 1)),
        ("Case Number", "9990000026", None),
    ]
    with opened(tmp_path) as (con, keys):
        delivery = "brent.2025-03-31.aa"
        put(con, delivery, "ssd", "person", [child | named])
        put(con, delivery, "ssd", "address", [{"child_id": "C1", "postcode": "NW10 5AB"}])
        put(
            con,
            delivery,
            "ssd",
            "linked_identifiers",
            [
                {
                    "child_id": "C1",
                    "identifier_type_code": kind,
                    "identifier_value": value,
                    "identifier_end_date": ended,
                }
                for kind, value, ended in numbers
            ],
        )
        with read_identities(con, CONTRACTS, keys) as read:
            (identity,) = pl.concat(read.batches()).to_dicts()
        counts = build_person_records(con, CONTRACTS, keys, opt_outs=NOT_ASKED)
        aliases = con.execute(
            "SELECT identifier, former, token FROM linkage.main.identifier_alias ORDER BY 1"
        ).fetchall()
    assert (identity["forename"], identity["surname"]) == ("ADA", "ONEILL")
    assert (identity["nhs_number"], identity["other_nhs_numbers"]) == (NHS, [OLD_NHS])
    assert (identity["upn"], identity["other_upns"]) == (UPN, [FORMER_UPN])
    assert (identity["la_child_id"], identity["postcode"]) == ("brent|C1", "NW10 5AB")
    assert counts["persons"] == 1
    encoder = Encoder(keys)

    def token(kind: str, value: str) -> int:
        return int(encoder.tokens(kind, pl.Series([value]))[0])

    assert aliases == [
        ("nhs", token("nhs", OLD_NHS), token("nhs", NHS)),
        ("upn", token("upn", FORMER_UPN), token("upn", UPN)),
    ]
    assert tells_children_apart(CONTRACT)


def test_an_identifier_without_its_kind_is_no_identity(tmp_path):
    with opened(tmp_path) as (con, keys):
        rows = [{"child_id": "C1", "identifier_type_code": None, "identifier_value": UPN}]
        put(con, "brent.2025-03-31.aa", "ssd", "linked_identifiers", rows)
        with read_identities(con, CONTRACTS, keys) as read:
            assert pl.concat(read.batches())["upn"].to_list() in ([], [None])
