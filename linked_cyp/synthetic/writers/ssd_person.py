"""The children in a safeguarding extract: identity, other identifiers, homes, family, SEND."""

from __future__ import annotations

import numpy as np
import polars as pl

from linked_cyp.synthetic.parameters import date_column
from linked_cyp.synthetic.records import recorded_upn
from linked_cyp.synthetic.writers.ssd_extract import Extract, key


def person_tables(extract: Extract) -> dict[str, pl.DataFrame]:
    """Identity, other identifiers, homes, disabilities, families and special educational needs."""
    return {**_identity(extract), **_special_needs(extract)}


def _identity(extract: Extract) -> dict[str, pl.DataFrame]:
    world, children = extract.world, extract.children
    persons = world.population.persons.select(
        "person_id", "death_day", "second_nhs_number", true_birth="birth"
    )
    known = children.drop("second_nhs_number").join(
        persons, on="person_id", how="left", maintain_order="left"
    )
    unborn = (known["true_birth"] > extract.day).to_numpy()
    upn = recorded_upn(known.select("person_id", "upn", birth="true_birth"), extract.day, codes=5)
    coded = upn.str.starts_with("UN")
    plans = world.education.pupils.select("person_id", "sen")
    sen = known.join(plans, on="person_id", how="left", maintain_order="left")["sen"]
    birth = known["birth"].to_numpy()
    person = known.select(
        "person_id",
        pers_forename="forename",
        pers_surname="surname",
        pers_dob=date_column("b", birth, unborn),
        pers_expected_dob=date_column("e", birth, ~unborn),
        pers_death_date=extract.date(known, "death_day"),
        pers_sex=pl.when(pl.Series(unborn)).then(pl.lit("U")).otherwise("sex"),
        # the specification's own spelling of this one code
        pers_ethnicity=pl.col("ethnicity").replace({"CHNE": "CNHE"}),
        pers_common_child_id=pl.when(pl.Series(~unborn)).then("nhs_number"),
        pers_upn=pl.when(~coded).then(upn),
        pers_upn_unknown=pl.when(coded).then(upn),
        pers_send_flag=(sen == "E").fill_null(False),
    )
    homes = _homes(extract, known)
    disabled = (
        world.need.disabilities.join(
            children.select("person_id"), on="person_id", how="inner", maintain_order="left"
        )
        .with_columns(code=pl.col("codes").str.split(" "))
        .explode("code")
        .select(
            "person_id",
            disa_table_id=key("D", "person_id", "code"),
            disa_disability_code="code",
        )
    )
    family = children.select("person_id", fami_family_id=key("F", "household_id"))
    return {
        "person": extract.named(person, "pers_person_id"),
        "linked_identifiers": extract.named(_other_identifiers(extract, known), "link_person_id"),
        "address": extract.named(homes, "addr_person_id"),
        "disability": extract.named(disabled, "disa_person_id"),
        "family": extract.named(family, "fami_person_id"),
    }


def _other_identifiers(extract: Extract, known: pl.DataFrame) -> pl.DataFrame:
    """Former pupil numbers, a second NHS number, and some that are of no use to anybody else."""
    share = extract.world.parameters.part("early_help")["safeguarding"]["former_nhs_number_known"]
    told = extract.chance("second number", known.height, share)
    kinds = (
        ("Unique Pupil Number", known.filter(pl.col("upn").is_not_null()), "upn", False),
        ("Unique Pupil Number", known, "former_upn", True),
        ("NHS Number", known.filter(told), "second_nhs_number", True),
        ("Case Number", known, "person_id", False),
    )
    parts = []
    for place, (kind, frame, column, ended) in enumerate(kinds):
        held = frame.filter(pl.col(column).is_not_null())
        first = held["day"].to_numpy()
        parts.append(
            held.select(
                "person_id",
                link_table_id=key(f"L{place}", "person_id"),
                link_identifier_type=pl.lit(kind),
                link_identifier_value=pl.col(column).cast(pl.String),
                link_valid_from_date=date_column("f", first),
                link_valid_to_date=date_column("t", first + 30, np.full(held.height, not ended)),
            )
        )
    return pl.concat(parts)


def _homes(extract: Extract, known: pl.DataFrame) -> pl.DataFrame:
    """Addresses since the child became known; a record not kept up stops at the first."""
    world = extract.world
    homes = (
        known.select("person_id", "household_id", "day", "postcode", "postcode_frozen")
        .join(
            world.population.addresses.select("household_id", "from_day", "to_day", "postcode_id"),
            on="household_id",
            how="inner",
            maintain_order="left_right",
        )
        .filter(pl.col("to_day") > pl.col("day"), pl.col("from_day") <= extract.day)
        .join(
            world.places.postcodes.select("postcode_id", true_postcode="postcode"),
            on="postcode_id",
            how="left",
            maintain_order="left",
        )
        .with_columns(number=pl.int_range(pl.len()).over("person_id"))
        .filter(~pl.col("postcode_frozen") | (pl.col("number") == 0))
    )
    first = pl.col("number") == 0
    return homes.select(
        "person_id",
        addr_table_id=key("AD", "person_id", "number"),
        addr_address_postcode=pl.when(first).then("postcode").otherwise("true_postcode"),
        addr_address_start_date=extract.date(homes, "from_day"),
        addr_address_end_date=extract.date(homes, "to_day"),
    )


def _special_needs(extract: Extract) -> dict[str, pl.DataFrame]:
    """The plans of pupils that social care knows, each from request to review."""
    world = extract.world
    rules = world.parameters.part("early_help")["safeguarding"]
    pupils = extract.children.select("person_id", "birth", "upn").join(
        world.education.pupils.filter(pl.col("sen") == "E").select("person_id", "sen_types"),
        on="person_id",
        how="inner",
        maintain_order="left",
    )
    rng = world.streams(f"ssd plans {extract.area}")
    age = rng.integers(3 * 365, 11 * 365, pupils.height)
    start = np.minimum(pupils["birth"].to_numpy() + age, extract.day - 30)
    request = start - rules["plan_request_lead_days"]
    review = start + 365 * ((extract.day - start) // 365)
    dates = {
        name: date_column(name, days)
        for name, days in (("start", start), ("request", request), ("review", review))
    }
    asked, agreed = date_column("a", request + 40), date_column("b", start - 20)
    needs = (
        pupils.select("person_id", code=pl.col("sen_types").str.split(" "))
        .explode("code")
        .filter(pl.col("code").is_not_null())
        .with_columns(rank=pl.int_range(pl.len()).over("person_id") + 1)
    )
    return {
        "send": extract.named(
            pupils.select("person_id", send_table_id=key("SE", "person_id"), send_upn="upn"),
            "send_person_id",
        ),
        "ehcp_requests": pupils.select(
            ehcr_ehcp_request_id=key("ER", "person_id"),
            ehcr_send_table_id=key("SE", "person_id"),
            ehcr_ehcp_req_date=dates["request"],
            ehcr_ehcp_req_outcome_date=asked,
            ehcr_ehcp_req_outcome=pl.lit("Y"),
        ),
        "ehcp_assessment": pupils.select(
            ehca_ehcp_assessment_id=key("EA", "person_id"),
            ehca_ehcp_request_id=key("ER", "person_id"),
            ehca_ehcp_assessment_outcome_date=agreed,
            ehca_ehcp_assessment_outcome=pl.lit(True),
        ),
        "ehcp_named_plan": pupils.select(
            ehcn_named_plan_id=key("EN", "person_id"),
            ehcn_ehcp_asmt_id=key("EA", "person_id"),
            ehcn_named_plan_start_date=dates["start"],
        ),
        "ehcp_active_plans": pupils.select(
            ehcp_active_ehcp_id=key("EP", "person_id"),
            ehcp_ehcp_request_id=key("ER", "person_id"),
            ehcp_active_ehcp_last_review_date=dates["review"],
        ),
        "sen_need": needs.select(
            senn_table_id=key("SN", "person_id", "rank"),
            senn_active_ehcp_id=key("EP", "person_id"),
            senn_active_ehcp_need_type="code",
            senn_active_ehcp_need_rank="rank",
        ),
    }
