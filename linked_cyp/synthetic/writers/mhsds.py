"""Mental Health Services Data Set: what the integrated care board extracts of its warehouse.

A delivery named for a month holds the rows of the submissions sent since the delivery before it,
and the whole list of the submissions that are active by then. One month was submitted twice: the
first time the outcomes of its contacts were still missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import polars as pl

from linked_cyp.synthetic.mental_health import MentalHealth, build_mental_health, period
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

PART = "mental_health"


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """A delivery for each month of the last year that the parameters name."""
    before: str | None = None
    for month in reporting_months(world, "mhsds"):
        yield partial(mhsds, world, before, month)
        before = month


def mhsds(world: World, since: str | None, month: str) -> Sent:
    """What was submitted after ``since`` (a month, or None: from the start) up to ``month``."""
    care = world.part(build_mental_health)
    submissions = _submissions(world)
    until = month_number(month)
    first = month_number(since) if since else 0
    rng = world.streams(f"mhsds {month}")

    def carried(rows: pl.DataFrame, *, from_day: bool = True) -> pl.DataFrame:
        """Rows with what every table has, from the submissions of this delivery."""
        if from_day:
            rows = rows.with_columns(month=pl.Series(month_of(rows["day"].to_numpy())))
        ids = care.patients.select("person_id", "provider", "national_person_id", "patient_number")
        known = submissions.carry(rows, first, until).join(
            ids, on=["person_id", "provider"], how="left", maintain_order="left"
        )
        # some rows come twice in one submission, whole
        again = chosen(rng, known, _settings(world)["repeated"])
        return pl.concat([known, again])

    tables = {
        "active_submission": _active(submissions, until),
        "bridging": _bridging(care),
        "header": _headers(world, submissions, first, until),
        **_patient_tables(world, care, carried),
        **_referral_tables(world, care, carried),
        **_contact_tables(world, care, carried),
        **_hospital_tables(world, care, carried),
    }
    return Sent(
        feed="mhsds",
        supplier=world.parameters.deliveries["nhs_supplier"],
        period=month,
        produced=f"{month}-28T05:00:00",
        tables=tables,
        style=Style(date="%Y-%m-%dT00:00:00", manifest=True),
    )


Carried = Callable[..., pl.DataFrame]


def _settings(world: World) -> dict:
    return dict(world.parameters.part(PART))


def _submissions(world: World) -> Submissions:
    first_day, last_day = period(world)
    months = month_of(np.array([first_day, last_day]))
    return monthly_submissions(_settings(world), int(months[0]), int(months[1]))


def _providers(world: World, column: str = "provider") -> pl.Expr:
    codes = {n: p["code"] for n, p in enumerate(_settings(world)["providers"])}
    return pl.col(column).replace_strict(codes, return_dtype=pl.String)


def _active(submissions: Submissions, until: int) -> pl.DataFrame:
    active = submissions.active(until)
    return active.select(
        UniqSubmissionID="submission_id", ReportingPeriodEndDate=last_days(active, "month")
    )


def _bridging(care: MentalHealth) -> pl.DataFrame:
    known = care.patients.filter(pl.col("nhs_number").is_not_null())
    return known.unique("national_person_id", keep="first", maintain_order=True).select(
        pl.col("nhs_number").alias("NHSNumber"),
        Person_ID="national_person_id",
        **{PERSON: "person_id", LOCAL_ID: "national_person_id"},
    )


def _headers(world: World, submissions: Submissions, first: int, until: int) -> pl.DataFrame:
    sent = submissions.sent.filter(pl.col("sent_month").is_between(first + 1, until))
    return sent.select(
        UniqSubmissionID="submission_id",
        OrgIDProvider=_providers(world),
        DatSetVer=pl.lit("6.0"),
        UniqMonthID="month",
        EFFECTIVE_FROM=moment("sent_day"),
        ReportingPeriodStartDate=first_days(sent, "month"),
        ReportingPeriodEndDate=last_days(sent, "month"),
    )


def _common(world: World, rows: pl.DataFrame, *, record: bool = False) -> dict[str, pl.Expr | str]:
    """The columns that (almost) every table has."""
    columns: dict = {
        "UniqSubmissionID": "submission_id",
        "OrgIDProv": _providers(world),
        "Person_ID": "national_person_id",
        "UniqMonthID": "month",
        "EFFECTIVE_FROM": moment("sent_day"),
        "ReportingPeriodStartDate": first_days(rows, "month"),
        "ReportingPeriodEndDate": last_days(rows, "month"),
        PERSON: "person_id",
        LOCAL_ID: "national_person_id",
    }
    if record:
        columns["RecordStartDate"] = first_days(rows, "month")
    return columns


def _referral_key(column: str = "referral_id") -> pl.Expr:
    return pl.format("SR{}", pl.col(column) + 100_000)


def _contact_key() -> pl.Expr:
    return pl.format("CC{}", pl.col("contact_id") + 1_000_000)


def _patient_tables(world: World, care: MentalHealth, carried: Carried) -> dict[str, pl.DataFrame]:
    settings = _settings(world)
    rng = world.streams("mhsds patients")
    first, last = month_of(np.array(period(world)))
    spells = care.referrals.select("person_id", "provider", "day", "end")
    monthly = while_open(spells, int(first), int(last)).unique(
        ["person_id", "provider", "month"], keep="first", maintain_order=True
    )
    rows = carried(monthly.select("person_id", "provider", "month"), from_day=False)
    known = rows.join(
        care.patients.drop("day", "household_id", "patient_number", "national_person_id"),
        on=["person_id", "provider"],
        how="left",
        maintain_order="left",
    )
    ages = (days_of(known["month"].to_numpy()) - known["birth"].to_numpy()) // 365.25
    once = carried(spells.sort("day").unique(["person_id", "provider"], maintain_order=True))
    size = once.height
    in_care = world.care.periods.select("person_id").unique()["person_id"].implode()
    planned = world.need.protection.join(
        world.need.referrals.select("referral_id", "person_id"), on="referral_id"
    )["person_id"].implode()
    indicator = settings["indicator"]
    disabled = chosen(rng, once, settings["disability"]["share"])
    told = chosen(rng, once, settings["circumstance"])
    return {
        "patient": known.select(
            **_common(world, known, record=True),
            LocalPatientId="patient_number",
            NHSNumber="nhs_number",
            NHSNumberStatus=pl.when(pl.col("nhs_number").is_null())
            .then(pl.lit("03"))
            .otherwise(pl.lit("01")),
            PersonBirthDate=as_date("birth"),
            Postcode=written_postcode(world, known, care.patients),
            Gender=pl.col("sex").replace_strict({"M": "1", "F": "2"}),
            GenderIDCode=pl.col("sex").replace_strict({"M": "1", "F": "2"}),
            EthnicCategory=nhs_ethnicity(world, "ethnicity"),
            AgeRepPeriodStart=pl.Series(np.maximum(ages, 0).astype(np.int64)),
        ),
        "gp_registration": once.select(
            **_common(world, once, record=True),
            GMPReg=pl.format("Y9{}", (pl.col("person_id") % 40 + 100)),
        ),
        "patient_indicator": once.select(
            **_common(world, once),
            LACStatus=_yes(pl.col("person_id").is_in(in_care)),
            CPP=_yes(pl.col("person_id").is_in(planned)),
            YoungCarer=_yes(pl.Series(rng.random(size) < indicator["young_carer"])),
            AutismStatus=coded(pick(rng, indicator["autism"], size)),
        ),
        "disability": disabled.select(
            **_common(world, disabled),
            DisabCode=coded(pick(rng, settings["disability"]["codes"], disabled.height)),
        ),
        "social_circumstance": told.select(
            **_common(world, told, record=True), SocPerCircumstanceRecDate=as_date("day")
        ),
    }


def _yes(condition: pl.Expr | pl.Series) -> pl.Expr:
    return pl.when(condition).then(pl.lit("Y")).otherwise(pl.lit("N"))


def _referral_tables(world: World, care: MentalHealth, carried: Carried) -> dict[str, pl.DataFrame]:
    settings = _settings(world)
    rng = world.streams("mhsds referrals")
    first, last = month_of(np.array(period(world)))
    rows = carried(while_open(care.referrals, int(first), int(last)), from_day=False)
    rows = rows.with_columns(month_end=pl.Series(days_of(rows["month"].to_numpy() + 1) - 1))
    # what had not happened by the end of the month is not in its submission
    ended = pl.when(pl.col("end") <= pl.col("month_end")).then("end")
    rows = rows.with_columns(ended=ended.cast(pl.Int32).cast(pl.Date))
    refused = rows.with_columns(ended=pl.when("is_rejected").then("ended"))
    more = chosen(rng, care.referrals, settings["second_reason"])
    more = carried(more.with_columns(reason=coded(pick(rng, {"26": 50, "29": 50}, more.height))))
    on = settings["onward"]
    left = chosen(rng, care.referrals, on["share"]).with_columns(day="end")
    onward = carried(left.with_columns(reason=coded(pick(rng, on["reason"], left.height))))
    indirect = carried(chosen(rng, care.contacts, settings["indirect"] / 5))
    by_position = {
        "primary_diagnosis": (1, "PrimDiag"),
        "secondary_diagnosis": (2, "SecDiag"),
    }
    diagnoses = {
        name: _diagnosis(world, carried(care.diagnoses.filter(pl.col("position") == place)), column)
        for name, (place, column) in by_position.items()
    }
    earlier = carried(chosen(rng, care.diagnoses, 0.2)).drop("referral_id")
    scores = carried(care.scores.filter(pl.col("contact_id").is_null()))
    return {
        "referral": rows.select(
            **_common(world, rows, record=True),
            UniqServReqID=_referral_key(),
            ReferralRequestReceivedDate=as_date("day"),
            SourceOfReferralMH="source",
            ClinRespPriorityType="priority",
            PrimReasonReferralMH="reason",
            ServTeamType="team",
            ServDischDate="ended",
            ReferRejectionDate=refused["ended"],
            ReferRejectReason=pl.when(refused["ended"].is_not_null()).then("rejection"),
        ),
        "service_referred_to": rows.select(
            **_common(world, rows, record=True),
            UniqServReqID=_referral_key(),
            ServTeamTypeRefToMH="team",
            UniqCareProfTeamID=pl.format("{}{}", "team", "provider"),
            ReferClosureDate=pl.when(~pl.col("is_rejected")).then("ended"),
            ReferRejectionDate=refused["ended"],
        ),
        "other_referral_reason": more.select(
            **_common(world, more), UniqServReqID=_referral_key(), OtherReasonReferMH="reason"
        ),
        "onward_referral": onward.select(
            **_common(world, onward),
            UniqServReqID=_referral_key(),
            OnwardReferDate=as_date("day"),
            OnwardReferReason="reason",
        ),
        "indirect_activity": indirect.select(
            **_common(world, indirect),
            UniqServReqID=_referral_key(),
            IndirectActDate=as_date("day"),
        ),
        **diagnoses,
        "previous_diagnosis": earlier.select(
            **_common(world, earlier),
            DiagSchemeInUse=pl.lit("02"),
            PrevDiag="code",
            DiagDate=as_date("day"),
        ),
        "referral_assessment": scores.select(
            **_common(world, scores),
            UniqServReqID=_referral_key(),
            CodedAssToolType="code",
            PersScore="score",
            AssToolCompDate=as_date("day"),
        ),
    }


def _diagnosis(world: World, rows: pl.DataFrame, column: str) -> pl.DataFrame:
    return rows.select(
        pl.col("code").alias(column),
        **_common(world, rows, record=True),
        UniqServReqID=_referral_key(),
        DiagSchemeInUse=pl.lit("02"),
        DiagDate=as_date("day"),
    )


def _contact_tables(world: World, care: MentalHealth, carried: Carried) -> dict[str, pl.DataFrame]:
    settings = _settings(world)
    rng = world.streams("mhsds contacts")
    contacts = care.contacts.with_columns(
        month=pl.Series(month_of(care.contacts["day"].to_numpy()))
    )
    # the submission of the next month says what the outcome really was
    mended = chosen(rng, contacts, settings["corrected"])
    wrong = contacts.with_columns(
        status=pl.when(pl.col("contact_id").is_in(mended["contact_id"].implode()))
        .then(pl.lit("3"))
        .otherwise("status")
    )
    rows = carried(
        pl.concat([wrong, mended.with_columns(month=pl.col("month") + 1)]), from_day=False
    )
    refreshed = _submissions(world).sent.filter(pl.col("version") > 1)
    early = pl.struct("provider", "month").is_in(
        refreshed.select(both=pl.struct("provider", "month"))["both"].implode()
    ) & (pl.col("version") == 1)
    status = pl.when(early).then(pl.lit("0")).otherwise("status")
    older = pl.Series(rng.random(rows.height) < settings["older_version"])
    rule = settings["activity"]
    acts = carried(chosen(rng, contacts.filter("is_seen"), rule["share"]).drop("month"))
    scores = carried(care.scores.filter(pl.col("contact_id").is_not_null()))
    return {
        "care_contact": rows.select(
            **_common(world, rows),
            UniqServReqID=_referral_key(),
            UniqCareContID=_contact_key(),
            CareContDate=as_date("day"),
            ClinContDurOfCareCont=pl.when(~early).then("minutes"),
            ConsMechanismMH=pl.when(~older).then("mechanism"),
            ConsMediumUsed=pl.when(older).then("mechanism"),
            AttendStatus=pl.when(~older).then(status),
            AttendOrDNACode=pl.when(older).then(status),
        ),
        "care_activity": acts.select(
            **_common(world, acts),
            UniqServReqID=_referral_key(),
            UniqCareContID=_contact_key(),
            UniqCareActID=pl.format("CA{}", pl.col("contact_id") + 5_000_000),
            Procedure=coded(pick(rng, rule["procedure"], acts.height)),
        ),
        "activity_assessment": scores.select(
            **_common(world, scores),
            UniqServReqID=_referral_key(),
            UniqCareContID=_contact_key(),
            UniqCareActID=pl.format("CA{}", pl.col("contact_id") + 5_000_000),
            CodedAssToolType="code",
            PersScore="score",
        ),
    }


def _hospital_tables(world: World, care: MentalHealth, carried: Carried) -> dict[str, pl.DataFrame]:
    first, last = month_of(np.array(period(world)))
    rows = carried(while_open(care.stays, int(first), int(last)), from_day=False)
    rows = rows.with_columns(month_end=pl.Series(days_of(rows["month"].to_numpy() + 1) - 1))
    ended = pl.when(pl.col("end") <= pl.col("month_end")).then(as_date("end"))
    detained = rows.filter(pl.col("section").is_not_null())
    restrained = carried(
        care.stays.filter(pl.col("restrained").is_not_null()).with_columns(day="restrained")
    )
    harmed = carried(
        care.stays.filter(pl.col("self_harm").is_not_null()).with_columns(day="self_harm")
    )
    keys = {
        "UniqServReqID": _referral_key(),
        "UniqHospProvSpellID": pl.format("HS{}", pl.col("spell_id") + 1000),
    }
    ward = {"UniqWardStayID": pl.format("WS{}", pl.col("spell_id") + 1000)}
    return {
        "hospital_spell": rows.select(
            **_common(world, rows, record=True),
            **keys,
            StartDateHospProvSpell=as_date("day"),
            DischDateHospProvSpell=ended,
        ),
        "ward_stay": rows.select(
            **_common(world, rows, record=True),
            **keys,
            **ward,
            StartDateWardStay=as_date("day"),
            EndDateWardStay=ended,
            WardAge=pl.lit("10"),
        ),
        "mental_health_act_period": detained.select(
            **_common(world, detained, record=True),
            UniqMHActEpisodeID=pl.format("MA{}", pl.col("spell_id") + 1000),
            StartDateMHActLegalStatusClass=as_date("day"),
            EndDateMHActLegalStatusClass=ended,
            LegalStatusCode="section",
        ),
        "restrictive_intervention": restrained.select(
            **_common(world, restrained, record=True),
            **keys,
            UniqRestrictiveIntIncID=pl.format("RI{}", pl.col("spell_id") + 1000),
            StartDateRestrictiveIntInc=as_date("restrained"),
            EndDateRestrictiveIntInc=as_date("restrained"),
        ),
        "self_harm": harmed.select(
            **_common(world, harmed), **keys, **ward, DateSelfHarm=as_date("self_harm")
        ),
    }
