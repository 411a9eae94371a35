"""Contacts, early help, need and protection in a safeguarding extract."""

from __future__ import annotations

import numpy as np
import polars as pl

from linked_cyp.synthetic.early_help import build_early_help
from linked_cyp.synthetic.need import protection_reviews
from linked_cyp.synthetic.parameters import date_column
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON
from linked_cyp.synthetic.writers.ssd_extract import Extract, key


def need_tables(extract: Extract) -> dict[str, pl.DataFrame]:
    """Contacts, early help, referrals, assessments, plans and visits."""
    need = extract.world.need
    cases = need.referrals.filter(
        pl.col("area") == extract.area, pl.col("day") <= extract.day
    ).select("referral_id", "person_id", "day", "source", "need", "path", "close", "closure_reason")

    def of(frame: pl.DataFrame, start: str = "start") -> pl.DataFrame:
        people = cases.select("referral_id", "person_id")
        joined = frame.join(people, on="referral_id", how="inner", maintain_order="left")
        return joined.filter(pl.col(start) <= extract.day)

    assessments = of(need.assessments)
    return {
        **_contact(extract),
        "cin_episodes": _cases(extract, cases),
        "cin_assessments": extract.named(
            assessments.select(
                "person_id",
                cina_assessment_id=key("A", "referral_id"),
                cina_referral_id=key("R", "referral_id"),
                cina_assessment_start_date=extract.date(assessments, "start"),
                cina_assessment_auth_date=extract.date(assessments, "authorised"),
                cina_assessment_child_seen=extract.chance("seen", assessments.height, 0.93),
            ),
            "cina_person_id",
        ),
        "assessment_factors": _factors(extract, assessments),
        **_plans(extract, of(need.plans)),
        **_protection(extract, of(need.enquiries), of(need.protection)),
    }


def _contact(extract: Extract) -> dict[str, pl.DataFrame]:
    help_ = extract.world.part(build_early_help)
    here = pl.col("area") == extract.area
    contacts = help_.contacts.filter(here, pl.col("day") <= extract.day)
    episodes = help_.episodes.filter(here, pl.col("start") <= extract.day)
    return {
        "contacts": extract.named(
            contacts.select(
                "person_id",
                cont_contact_id=key("C", "contact_id"),
                cont_contact_date=extract.date(contacts, "day"),
                cont_contact_source_code="source",
            ),
            "cont_person_id",
        ),
        "early_help_episodes": extract.named(
            episodes.select(
                "person_id",
                earl_episode_id=key("EH", "early_help_id"),
                earl_episode_start_date=extract.date(episodes, "start"),
                earl_episode_end_date=extract.date(episodes, "end"),
            ),
            "earl_person_id",
        ),
    }


def _cases(extract: Extract, cases: pl.DataFrame) -> pl.DataFrame:
    closes = extract.date(cases, "close")
    return extract.named(
        cases.select(
            "person_id",
            cine_referral_id=key("R", "referral_id"),
            cine_referral_date=extract.date(cases, "day"),
            cine_cin_primary_need_code="need",
            cine_referral_source_code="source",
            cine_referral_nfa=pl.col("path") == "nfa",
            cine_close_date=closes,
            cine_close_reason=pl.when(closes.is_not_null()).then("closure_reason"),
        ),
        "cine_person_id",
    )


def _factors(extract: Extract, assessments: pl.DataFrame) -> pl.DataFrame:
    """A JSON list, or for every second authority an object of answers."""
    told = assessments.filter(pl.col("authorised") <= extract.day)
    codes = pl.col("factors").str.split(" ")
    if extract.area % 2 == 0:
        written = pl.concat_str(pl.lit('["'), codes.list.join('", "'), pl.lit('"]'))
    else:
        written = pl.concat_str(pl.lit('{"'), codes.list.join('": "Yes", "'), pl.lit('": "Yes"}'))
    return told.select(
        cinf_table_id=key("AF", "referral_id"),
        cinf_assessment_id=key("A", "referral_id"),
        cinf_assessment_factors_json=written,
    )


def _plans(extract: Extract, plans: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {
        "cin_plans": extract.named(
            plans.select(
                "person_id",
                cinp_cin_plan_id=key("P", "referral_id"),
                cinp_referral_id=key("R", "referral_id"),
                cinp_cin_plan_start_date=extract.date(plans, "start"),
                cinp_cin_plan_end_date=extract.date(plans, "end"),
            ),
            "cinp_person_id",
        ),
        "cin_visits": _visits(extract, plans, "referral_id", "cin")
        .rename(
            {
                "visit_id": "cinv_cin_visit_id",
                "day": "cinv_cin_visit_date",
                "seen": "cinv_cin_visit_seen",
                "alone": "cinv_cin_visit_seen_alone",
                "child": "cinv_person_id",
            }
        )
        .drop("referral_id"),
    }


def _visits(extract: Extract, plans: pl.DataFrame, plan: str, kind: str) -> pl.DataFrame:
    """Visits under plans: visit_id, day, seen, alone, child and the plan's own number."""
    rules = extract.world.parameters.part("early_help")["safeguarding"]
    step, horizon = rules["visits_days"][kind], rules["visit_horizon_days"]
    start, end = plans["start"].to_numpy(), plans["end"].to_numpy()
    # the first visit within the horizon, a whole number of steps after the plan began
    skipped = np.maximum(0, -(-(extract.day - horizon - start) // step))
    number = skipped[:, None] + np.arange(1, horizon // step + 1)
    days = start[:, None] + number * step
    held = (days <= np.minimum(end, extract.day)[:, None]) & (days > 0)
    row, place = np.nonzero(held)
    visits = plans.gather(row).select(
        plan,
        "person_id",
        visit_id=pl.concat_str(
            pl.lit(f"{kind.upper()}V"),
            pl.col(plan).cast(pl.String),
            pl.Series(number[row, place]).cast(pl.String),
            separator="-",
        ),
        day=date_column("day", days[row, place]),
    )
    seen = extract.chance(f"{kind} seen", visits.height, rules["seen"])
    alone = extract.chance(f"{kind} alone", visits.height, rules["seen_alone"])
    return extract.named(visits.with_columns(seen=seen, alone=seen & alone), "child")


def _protection(
    extract: Extract, enquiries: pl.DataFrame, plans: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    rules = extract.world.parameters.part("early_help")["safeguarding"]
    reviews = (
        protection_reviews(plans)
        .filter(pl.col("day") <= extract.day)
        .join(plans.select("plan_id", "person_id", "end"), on="plan_id", how="left")
        .sort("plan_id", "day")
        .with_columns(number=pl.int_range(pl.len()).over("plan_id"))
    )
    held = enquiries.filter(pl.col("conference") <= extract.day)
    made = plans.select("referral_id", "plan_id")
    held = held.join(made, on="referral_id", how="left", maintain_order="left")
    ended = pl.Series(enquiries["start"].to_numpy() + rules["enquiry_days"])
    visits = _visits(extract, plans, "plan_id", "cp")
    return {
        "s47_enquiry": extract.named(
            enquiries.select(
                "person_id",
                s47e_s47_enquiry_id=key("S", "referral_id"),
                s47e_referral_id=key("R", "referral_id"),
                s47e_s47_start_date=extract.date(enquiries, "start"),
                s47e_s47_end_date=extract.date(enquiries.with_columns(start=ended), "start"),
                s47e_s47_nfa="not_required",
            ),
            "s47e_person_id",
        ),
        "initial_cp_conference": extract.named(
            held.select(
                "person_id",
                icpc_icpc_id=key("IC", "referral_id"),
                icpc_s47_enquiry_id=key("S", "referral_id"),
                icpc_cp_plan_id=key("CP", "plan_id"),
                icpc_referral_id=key("R", "referral_id"),
                icpc_icpc_target_date=date_column("t", held["target"].to_numpy()),
                icpc_icpc_date=extract.date(held, "conference"),
                icpc_icpc_outcome_cp_flag=pl.col("plan_id").is_not_null(),
                icpc_icpc_transfer_in=pl.lit(False),
            ),
            "icpc_person_id",
        ),
        "cp_plans": extract.named(
            plans.select(
                "person_id",
                cppl_cp_plan_id=key("CP", "plan_id"),
                cppl_referral_id=key("R", "referral_id"),
                cppl_icpc_id=key("IC", "referral_id"),
                cppl_cp_plan_start_date=extract.date(plans, "start"),
                cppl_cp_plan_end_date=extract.date(plans, "end"),
                cppl_cp_plan_initial_category="category",
                cppl_cp_plan_latest_category="latest_category",
                cppl_cp_plan_ola=pl.lit(False),
            ),
            "cppl_person_id",
        ),
        "cp_visits": visits.select(
            PERSON,
            LOCAL_ID,
            cppv_cp_visit_id="visit_id",
            cppv_person_id="child",
            cppv_cp_plan_id=key("CP", "plan_id"),
            cppv_cp_visit_date="day",
            cppv_cp_visit_seen="seen",
            cppv_cp_visit_seen_alone="alone",
        ),
        "cp_reviews": extract.named(
            reviews.select(
                "person_id",
                cppr_cp_review_id=key("CR", "plan_id", "number"),
                cppr_cp_plan_id=key("CP", "plan_id"),
                cppr_cp_review_due=extract.date(reviews, "day"),
                cppr_cp_review_date=extract.date(reviews, "day"),
                cppr_cp_review_outcome_continue_cp=pl.col("end") > pl.col("day") + 30,
                cppr_cp_review_quorate=pl.lit(True),
            ),
            "cppr_person_id",
        ),
    }
