"""Community Services Data Set: what the integrated care board extracts of its warehouse.

One delivery holds all submissions so far and the list of those that are active. One month was
submitted twice. Providers of version 1.5 fill the older columns of the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.community import Community, asked, build_community, measured
from linked_cyp.synthetic.mental_health import period
from linked_cyp.synthetic.parameters import pick
from linked_cyp.synthetic.submissions import (
    Submissions,
    as_date,
    chosen,
    coded,
    days_of,
    first_days,
    last_days,
    moment,
    month_number,
    month_of,
    monthly_submissions,
    nhs_ethnicity,
    reporting_months,
    while_open,
    written_postcode,
)
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import LOCAL_ID, PERSON, Sent, Style

SUBMISSION, PERSON_ID = "UNIQUE SUBMISSION ID", "PERSON ID"
REFERRAL = "UNIQUE SERVICE REQUEST IDENTIFIER"
CONTACT, ACTIVITY = "UNIQUE CARE CONTACT IDENTIFIER", "UNIQUE CARE ACTIVITY IDENTIFIER"
PROVIDER, OLD_PROVIDER = (
    "ORGANISATION IDENTIFIER (CODE OF PROVIDER)",
    "ORGANISATION CODE (PROVIDER)",
)
LOCAL_PATIENT = "LOCAL PATIENT IDENTIFIER (EXTENDED)"
IMMUNISATION_TYPE = "CHILDHOOD IMMUNISATION TYPE (CHILDREN AND YOUNG PEOPLES HEALTH SERVICES)"
SPOT = "NEWBORN BLOOD SPOT TEST OUTCOME STATUS CODE ({})"

Columns = dict[str, Any]
Carried = Callable[..., pl.DataFrame]


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """A delivery for each month of the last year that the parameters name."""
    before: str | None = None
    for month in reporting_months(world, "csds"):
        yield partial(csds, world, before, month)
        before = month


def csds(world: World, since: str | None, month: str) -> Sent:
    """What was submitted after ``since`` (a month, or None: from the start) up to ``month``."""
    care = world.part(build_community)
    settings = world.parameters.part("community")
    first_day, last_day = period(world)
    months = month_of(np.array([first_day, last_day]))
    submissions = monthly_submissions(settings, int(months[0]), int(months[1]))
    first, until = month_number(since) if since else 0, month_number(month)
    rng = world.streams(f"csds {month}")

    def carried(rows: pl.DataFrame, *, monthly: bool = False) -> pl.DataFrame:
        """Rows with what every table has; with ``monthly`` for each month while they are open."""
        rows = (
            while_open(rows, int(months[0]), int(months[1]))
            if monthly
            else rows.with_columns(month=pl.Series(month_of(rows["day"].to_numpy())))
        )
        ids = care.patients.select("person_id", "provider", "national_person_id", "patient_number")
        known = submissions.carry(rows, first, until).join(
            ids, on=["person_id", "provider"], how="left", maintain_order="left"
        )
        known = pl.concat([known, chosen(rng, known, settings["repeated"])])
        older = pl.Series(rng.random(known.height) < settings["older_version"])
        return known.with_columns(
            is_older=older, month_end=pl.Series(days_of(known["month"].to_numpy() + 1) - 1)
        )

    return Sent(
        feed="csds",
        supplier=world.parameters.deliveries["nhs_supplier"],
        period=month,
        produced=f"{month}-28T06:00:00",
        tables={
            "active_submission": submissions.active(until).select(
                pl.col("submission_id").alias(SUBMISSION)
            ),
            "bridging": _bridging(care),
            "header": _headers(settings, submissions, first, until),
            **_patient_tables(world, care, carried),
            **_newborn_tables(world, care, carried),
            **_referral_tables(world, care, carried),
            **_contact_tables(world, care, carried),
        },
        style=Style(date="%Y-%m-%dT00:00:00", manifest=True),
    )


def _provider(settings: Any) -> pl.Expr:
    codes = {n: p["code"] for n, p in enumerate(settings["providers"])}
    return pl.col("provider").replace_strict(codes, return_dtype=pl.String)


def _newer(value: pl.Expr, older: bool = False) -> pl.Expr:
    """The value in the column of the version that the row's provider uses."""
    return pl.when(pl.col("is_older") if older else ~pl.col("is_older")).then(value)


def _bridging(care: Community) -> pl.DataFrame:
    known = care.patients.filter(
        pl.col("nhs_number").is_not_null(), pl.col("national_person_id").is_not_null()
    )
    return known.unique("national_person_id", keep="first", maintain_order=True).select(
        Person_ID="national_person_id",
        NHSNumber="nhs_number",
        **{PERSON: "person_id", LOCAL_ID: "national_person_id"},
    )


def _headers(settings: Any, submissions: Submissions, first: int, until: int) -> pl.DataFrame:
    sent = submissions.sent.filter(pl.col("sent_month").is_between(first + 1, until))
    return sent.select(
        **{
            SUBMISSION: "submission_id",
            PROVIDER: _provider(settings),
            "DATA SET VERSION NUMBER": pl.lit("1.6"),
            "UNIQUE MONTH ID": "month",
            "EFFECTIVE FROM": moment("sent_day"),
            "REPORTING PERIOD START DATE": first_days(sent, "month"),
            "REPORTING PERIOD END DATE": last_days(sent, "month"),
        }
    )


def _common(
    world: World, rows: pl.DataFrame, *, local: bool = False, record: bool = True
) -> Columns:
    """The columns that (almost) every table has; ``local`` where it is about the patient."""
    code = _provider(world.parameters.part("community"))
    columns: Columns = {
        SUBMISSION: "submission_id",
        PERSON_ID: "national_person_id",
        PROVIDER: _newer(code),
        OLD_PROVIDER: _newer(code, older=True),
        "EFFECTIVE FROM": moment("sent_day"),
        "REPORTING PERIOD START DATE": first_days(rows, "month"),
        "REPORTING PERIOD END DATE": last_days(rows, "month"),
        PERSON: "person_id",
        LOCAL_ID: pl.coalesce("national_person_id", "patient_number"),
    }
    if record:
        columns["RECORD START DATE"] = first_days(rows, "month")
    if local:
        columns[LOCAL_PATIENT] = "patient_number"
    return columns


def _always_newer(columns: Columns, world: World) -> Columns:
    """For the tables of which only one generation of the provider's column is known."""
    code = _provider(world.parameters.part("community"))
    return {k: v for k, v in columns.items() if k != OLD_PROVIDER} | {PROVIDER: code}


def _referral_key() -> pl.Expr:
    return pl.format("CR{}", pl.col("referral_id") + 100_000)


def _contact_key() -> pl.Expr:
    return pl.format("CC{}", pl.col("contact_id") + 1_000_000)


def _activity_key() -> pl.Expr:
    return pl.format("CA{}", pl.col("contact_id") + 5_000_000)


def _patient_tables(world: World, care: Community, carried: Carried) -> dict[str, pl.DataFrame]:
    settings = world.parameters.part("community")
    rng = world.streams("csds patients")
    spans = pl.concat(
        [
            care.referrals.select("person_id", "provider", "day", "end"),
            care.immunisations.select("person_id", "provider", "day", end="day"),
        ]
    )
    rows = carried(spans, monthly=True).unique(
        ["person_id", "provider", "submission_id"], keep="first", maintain_order=True
    )
    known = rows.join(
        care.patients.drop("day", "household_id", "patient_number", "national_person_id"),
        on=["person_id", "provider"],
        how="left",
        maintain_order="left",
    )
    age = (days_of(known["month"].to_numpy()) - known["birth"].to_numpy()) // 365.25
    in_care = world.care.periods["person_id"].unique().implode()
    once = carried(spans.sort("day").unique(["person_id", "provider"], maintain_order=True))
    given = carried(care.immunisations)
    typed = given.filter(pl.col("provider") == 1)
    plans = world.need.protection.join(
        world.need.referrals.select("referral_id", "person_id"), on="referral_id"
    ).select("person_id", start="start")
    planned = once.join(plans, on="person_id", how="inner", maintain_order="left").filter(
        pl.col("start") <= pl.col("month_end")
    )

    def coded_share(name: str, column: str) -> pl.DataFrame:
        some = chosen(rng, once, settings[name]["share"])
        codes = coded(pick(rng, settings[name]["codes"], some.height))
        columns = _common(world, some, local=True)
        if name == "factor":
            columns = _always_newer(columns, world)
        return some.select(codes.alias(column), **columns)

    told = chosen(rng, once, settings["circumstance"])
    earlier = chosen(rng, once, settings["diagnosed"]["share"] / 2)
    return {
        "patient": known.select(
            **_common(world, known, local=True),
            **{
                "NHS NUMBER STATUS INDICATOR CODE": pl.when(pl.col("nhs_number").is_null())
                .then(pl.lit("03"))
                .otherwise(pl.lit("01")),
                "DateOfBirth": as_date("birth"),
                "Postcode": written_postcode(world, known, care.patients),
                "PERSON STATED GENDER CODE": pl.col("sex").replace_strict({"M": "1", "F": "2"}),
                "ETHNIC CATEGORY": nhs_ethnicity(world, "ethnicity"),
                "LOOKED AFTER CHILD INDICATOR": pl.when(pl.col("person_id").is_in(in_care))
                .then(pl.lit("Y"))
                .otherwise(pl.lit("N")),
                "UNIQUE MONTH ID": "month",
                "AGE OF PATIENT AT REPORTING PERIOD START (YEARS)": pl.Series(
                    np.maximum(age, 0).astype(np.int64)
                ),
            },
        ),
        "gp_registration": once.select(
            pl.format("Y9{}", pl.col("person_id") % 40 + 100).alias(
                "GENERAL MEDICAL PRACTICE (PATIENT REGISTRATION)"
            ),
            **_common(world, once, local=True),
        ),
        "social_circumstance": told.select(
            as_date("day").alias("SOCIAL AND PERSONAL CIRCUMSTANCE RECORDED DATE"),
            **_always_newer(_common(world, told, local=True), world),
        ),
        "special_educational_need": coded_share("send", "SPECIAL EDUCATIONAL NEED TYPE"),
        "safeguarding_factor": coded_share("factor", "SAFEGUARDING VULNERABILITY FACTORS TYPE"),
        "disability": coded_share("disability", "DISABILITY CODE"),
        "child_protection_plan": planned.select(
            as_date("start").alias("CHILD PROTECTION PLAN START DATE"),
            **_always_newer(_common(world, planned, local=True), world),
        ),
        "coded_immunisation": given.select(
            as_date("day").alias("IMMUNISATION DATE"),
            pl.col("procedure").alias("IMMUNISATION PROCEDURE (CLINICAL TERMINOLOGY)"),
            **_common(world, given, local=True),
        ),
        "immunisation": typed.select(
            as_date("day").alias("IMMUNISATION DATE"),
            pl.col("type").alias(IMMUNISATION_TYPE),
            **_common(world, typed, local=True),
        ),
        "previous_diagnosis": earlier.select(
            pl.lit("02").alias("DIAGNOSIS SCHEME IN USE"),
            coded(pick(rng, settings["diagnosed"]["codes"], earlier.height)).alias(
                "PREVIOUS DIAGNOSIS (CODED CLINICAL ENTRY)"
            ),
            as_date("day").alias("DIAGNOSIS DATE"),
            **_common(world, earlier, local=True),
        ),
    }


def _newborn_tables(world: World, care: Community, carried: Carried) -> dict[str, pl.DataFrame]:
    rule = world.parameters.part("community")["newborn"]
    rng = world.streams("csds newborns")
    heard, spotted, examined = (
        carried(chosen(rng, care.newborns, rule[part]).with_columns(day=pl.col("birth") + after))
        for part, after in (("hearing", 20), ("blood_spot", 11), ("examined", 50))
    )
    return {
        "newborn_hearing_screening": heard.select(
            pl.lit("01").alias("NEWBORN HEARING SCREENING OUTCOME"),
            **_common(world, heard, local=True),
        ),
        "blood_spot_result": spotted.select(
            as_date("day").alias("NEWBORN BLOOD SPOT TEST RESULT RECEIVED DATE"),
            *(
                pl.lit("04").alias(SPOT.format(condition))
                for condition in ("PHENYLKETONURIA", "SICKLE CELL DISEASE", "CYSTIC FIBROSIS")
            ),
            **_common(world, spotted, local=True),
        ),
        "infant_examination": examined.select(
            as_date("day").alias("INFANT PHYSICAL EXAMINATION DATE"),
            *(
                pl.lit("01").alias(f"INFANT PHYSICAL EXAMINATION RESULT ({part})")
                for part in ("HIPS", "HEART", "EYES")
            ),
            **_common(world, examined, local=True),
        ),
    }


def _referral_tables(world: World, care: Community, carried: Carried) -> dict[str, pl.DataFrame]:
    settings = world.parameters.part("community")
    rng = world.streams("csds referrals")
    rows = carried(care.referrals, monthly=True)
    ended = pl.when(pl.col("end") <= pl.col("month_end")).then(as_date("end"))
    more = carried(chosen(rng, care.referrals, settings["second_reason"]))
    on = settings["onward"]
    onward = carried(chosen(rng, care.referrals, on["share"]))
    rule = settings["diagnosed"]
    visited = care.contacts.filter(pl.col("is_seen"), pl.col("kind") == "paediatrics")
    found = chosen(rng, visited.unique("referral_id", maintain_order=True), rule["share"])
    main = carried(found.with_columns(code=coded(pick(rng, rule["codes"], found.height))))
    second = carried(chosen(rng, found, 0.3))
    scored = carried(chosen(rng, visited, 0.1))

    def diagnosis(frame: pl.DataFrame, column: str, code: pl.Expr | pl.Series) -> pl.DataFrame:
        return frame.select(
            code.alias(column),
            _referral_key().alias(REFERRAL),
            pl.lit("02").alias("DIAGNOSIS SCHEME IN USE"),
            as_date("day").alias("DIAGNOSIS DATE"),
            **_common(world, frame),
        )

    return {
        "referral": rows.select(
            _referral_key().alias(REFERRAL),
            as_date("day").alias("REFERRAL REQUEST RECEIVED DATE"),
            pl.col("source").alias("SOURCE OF REFERRAL FOR COMMUNITY"),
            pl.col("reason").alias("PRIMARY REASON FOR REFERRAL (COMMUNITY CARE)"),
            ended.alias("SERVICE DISCHARGE DATE"),
            **_common(world, rows, local=True),
        ),
        "service_referred_to": rows.select(
            _referral_key().alias(REFERRAL),
            pl.col("team").alias("SERVICE OR TEAM TYPE REFERRED TO (COMMUNITY CARE)"),
            pl.when(~pl.col("is_rejected")).then(ended).alias("REFERRAL CLOSURE DATE"),
            pl.when("is_rejected").then(ended).alias("REFERRAL REJECTION DATE"),
            **_common(world, rows),
        ),
        "other_referral_reason": more.select(
            _referral_key().alias(REFERRAL),
            pl.col("reason").alias("OTHER REASON FOR REFERRAL (COMMUNITY CARE)"),
            **_common(world, more),
        ),
        "onward_referral": onward.select(
            _referral_key().alias(REFERRAL),
            as_date("day").alias("ONWARD REFERRAL DATE"),
            coded(pick(rng, on["reason"], onward.height)).alias("ONWARD REFERRAL REASON"),
            **_common(world, onward),
        ),
        "primary_diagnosis": diagnosis(
            main, "PRIMARY DIAGNOSIS (CODED CLINICAL ENTRY)", pl.col("code")
        ),
        "secondary_diagnosis": diagnosis(
            second,
            "SECONDARY DIAGNOSIS (CODED CLINICAL ENTRY)",
            coded(pick(rng, rule["codes"], second.height)),
        ),
        "referral_assessment": scored.select(
            _referral_key().alias(REFERRAL),
            pl.lit("1047091000000109").alias("CODED ASSESSMENT TOOL TYPE (SNOMED CT)"),
            pl.Series(rng.integers(0, 40, scored.height)).cast(pl.String).alias("PERSON SCORE"),
            as_date("day").alias("ASSESSMENT TOOL COMPLETION DATE"),
            **_common(world, scored),
        ),
    }


def _contact_tables(world: World, care: Community, carried: Carried) -> dict[str, pl.DataFrame]:
    settings = world.parameters.part("community")
    rng = world.streams("csds contacts")
    rows = carried(care.contacts)
    # the first sending of the month that was sent again did not have the outcomes yet
    twice = rows.filter(pl.col("version") > 1).select("provider", "month").unique()
    early = (pl.col("version") == 1) & pl.struct("provider", "month").is_in(
        twice.select(both=pl.struct("provider", "month"))["both"].implode()
    )
    status = pl.when(early).then(pl.lit("0")).otherwise("status")
    acts = carried(care.contacts.filter(pl.col("is_seen")))
    sized = carried(measured(world, care.contacts))
    fed = carried(care.contacts.filter(pl.col("review") == "10"))
    scores = carried(asked(world, care.contacts))
    return {
        "care_contact": rows.select(
            _referral_key().alias(REFERRAL),
            _contact_key().alias(CONTACT),
            as_date("day").alias("CARE CONTACT DATE"),
            pl.col("minutes").alias("CLINICAL CONTACT DURATION OF CARE CONTACT"),
            _newer(pl.col("mechanism")).alias("CONSULTATION MECHANISM (COMMUNITY CARE)"),
            _newer(pl.col("mechanism"), older=True).alias("CONSULTATION MEDIUM USED"),
            pl.col("location").alias("ACTIVITY LOCATION TYPE CODE"),
            _newer(status).alias("ATTENDANCE STATUS"),
            _newer(status, older=True).alias("ATTENDED OR DID NOT ATTEND CODE"),
            **_common(world, rows, record=False),
        ),
        "care_activity": acts.select(
            _contact_key().alias(CONTACT),
            _activity_key().alias(ACTIVITY),
            pl.col("review").fill_null("13").alias("COMMUNITY CARE ACTIVITY TYPE CODE"),
            **_common(world, acts, record=False),
        ),
        "observation": sized.select(
            _activity_key().alias(ACTIVITY),
            pl.col("weight").alias("PERSON WEIGHT"),
            pl.col("height").alias("PERSON HEIGHT IN METRES"),
            pl.col("length").alias("PERSON LENGTH IN CENTIMETRES"),
            **_common(world, sized, record=False),
        ),
        "breastfeeding_status": fed.select(
            _activity_key().alias(ACTIVITY),
            coded(pick(rng, settings["breastfeeding"], fed.height)).alias("BREASTFEEDING STATUS"),
            **_common(world, fed, record=False),
        ),
        "contact_assessment": scores.select(
            _activity_key().alias(ACTIVITY),
            pl.col("code").alias("CODED ASSESSMENT TOOL TYPE (SNOMED CT)"),
            pl.col("score").alias("PERSON SCORE"),
            **_common(world, scores, record=False),
        ),
    }
