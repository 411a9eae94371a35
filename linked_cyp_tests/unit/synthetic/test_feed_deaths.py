"""Deaths: what the register and the child death overview panels say, and when they say it."""

from __future__ import annotations

import polars as pl
import pytest

from linked_cyp.synthetic.deaths import build_deaths
from linked_cyp.synthetic.writers import deaths
from linked_cyp_tests.feed_support import Received, feed_contract, receive, small_world

FEEDS = {"deaths_registration": "death", "child_death_review": "child_death"}


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Received]:
    world = small_world(children=2000, seed=2)
    return {
        feed: receive(tmp_path_factory.mktemp(feed), world, [deaths.deliveries], feed)
        for feed in FEEDS
    }


@pytest.mark.parametrize("feed", FEEDS)
def test_what_is_sent_is_accepted_whole(received: dict[str, Received], feed: str) -> None:
    got = received[feed]
    assert [o.status for o in got.outcomes] == ["accepted"]
    (outcome,), (written,) = got.outcomes, got.written
    counts = outcome.table(FEEDS[feed])
    assert counts.received == counts.accepted == written.rows > 3
    assert counts.cells_blanked == 0
    assert not outcome.files[0].undeclared


def test_neonatal_deaths_have_mentions_and_no_single_cause(received: dict[str, Received]) -> None:
    table = received["deaths_registration"].rows("raw", "deaths_registration__death")
    table = table.filter(pl.col("is_latest"))
    days = (table["death_date"] - table["birth_date"]).dt.total_days()
    neonatal = table["neonatal_code"] == "Y"
    assert (days.filter(neonatal.fill_null(False)) < 28).all()
    young = table.filter(neonatal.fill_null(False))
    assert young.height > 0
    assert young["underlying_cause_icd10_code"].null_count() == young.height
    older = table.filter(~neonatal.fill_null(False))
    assert older["underlying_cause_icd10_code"].null_count() == 0
    assert table["mention_1_icd10_code"].null_count() == 0


def test_a_death_is_registered_after_it_happened_and_late_ones_are_missing(
    received: dict[str, Received],
) -> None:
    table = received["deaths_registration"].rows("raw", "deaths_registration__death")
    assert (table["registration_date"] >= table["death_date"]).all()
    (sent,) = received["deaths_registration"].sent
    everyone = small_world(children=2000, seed=2).part(build_deaths).deaths
    assert everyone.height >= sent.tables["death"]["_person_id"].n_unique()


def test_only_months_of_birth_and_death_reach_the_warehouse(received: dict[str, Received]) -> None:
    for feed, name in FEEDS.items():
        table = received[feed].rows("pseudonymised", f"{feed}__{name}")
        assert table["birth_month"].dt.day().unique().to_list() == [1]
        assert table["death_month"].dt.day().unique().to_list() == [1]
        assert not {"forename", "surname", "postcode", "nhs_number"} & set(table.columns)
        assert table["record_key"].null_count() == 0


def test_an_open_case_has_no_category(received: dict[str, Received]) -> None:
    cases = received["child_death_review"].rows("raw", "child_death_review__child_death")
    is_open = cases["review_completed_date"].is_null()
    assert cases.filter(is_open)["primary_category_code"].null_count() == is_open.sum()
    assert cases.filter(~is_open)["primary_category_code"].null_count() == 0
    known = pl.col("is_cin_plan") | pl.col("is_child_protection_plan") | pl.col("is_looked_after")
    assert (cases.filter(known)["known_to_social_care_code"] == "Y").all()


def test_the_contract_says_what_is_not_known_of_the_panels_file() -> None:
    contract = feed_contract("child_death_review")
    assert contract.layout == "unverified"
    assert "Children Act 2004" in contract.legal_basis
    assert "PlaceOfDeath" in contract.tables["child_death"].not_taken
