"""Children in need census: one XML return for each authority and year (DfE schema order).

Holds every child with a case open at any time in the year; what happens later is still open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.contracts.model import Contract
from linked_cyp.synthetic.need import protection_reviews
from linked_cyp.synthetic.parameters import as_days, date_column, text
from linked_cyp.synthetic.records import recorded_upn
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import (
    BAD_DATES,
    Sent,
    Style,
    Written,
    located,
    returns,
    write_files,
)


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """The last year of every authority, earlier ones of some."""
    rules = world.parameters.deliveries["feeds"]["cin_census"]
    for area, year in returns(world, rules):
        yield partial(cin_census, world, area, year)


def cin_census(world: World, area: int, year: int) -> Sent:
    """One authority's return; the frames are flat, ``write_cin_census`` nests them."""
    first, last = as_days(f"{year - 1}-04-01"), as_days(f"{year}-03-31")
    look = world.parameters.deliveries["styles"][area % 3]
    return Sent(
        feed="cin_census",
        supplier=world.places.areas["slug"][area],
        period=str(year),
        produced=f"{year}-06-20T09:30:00",
        tables=_tables(world, area, year, first, last),
        style=Style(
            date="%Y-%m-%d",
            manifest=look["manifest"],
            true="1" if area % 2 == 0 else "true",
            false="0" if area % 2 == 0 else "false",
        ),
        names={"authority": str(world.places.areas["number"][area])},
        write=write_cin_census,
    )


def _tables(world: World, area: int, year: int, first: int, last: int) -> dict[str, pl.DataFrame]:
    need = world.need
    # a referral with no further action is reported in the year it is made
    cases = need.referrals.filter(
        pl.col("area") == area,
        pl.col("day") <= last,
        pl.when(pl.col("path") == "nfa")
        .then(pl.col("day") >= first)
        .otherwise(pl.col("close") >= first),
    )
    ids = cases["referral_id"].implode()

    def of(frame: pl.DataFrame, *conditions: pl.Expr) -> pl.DataFrame:
        return frame.filter(pl.col("referral_id").is_in(ids), *conditions)

    def day(frame: pl.DataFrame, column: str) -> pl.Series:
        """A date, blank when it is missing or after the year."""
        values = frame[column].fill_null(last + 1).to_numpy()
        return date_column(column, values, values > last)

    known = world.registrations.social_care.filter(pl.col("area") == area)
    newest = year == world.years[-1]
    children = (
        cases.select("person_id", true_birth="birth")
        .unique("person_id", keep="first", maintain_order=True)
        .join(known, on="person_id", how="left", maintain_order="left")
        .join(need.disabilities, on="person_id", how="left", maintain_order="left")
        .join(
            world.population.persons.select("person_id", "death_day"),
            on="person_id",
            how="left",
            maintain_order="left",
        )
    )
    unborn = (children["true_birth"] > last).to_numpy()
    birth = children["birth"].to_numpy()
    upn = recorded_upn(children.select("person_id", "upn", birth="true_birth"), last, codes=7)
    coded = upn.str.starts_with("UN")
    local = (
        pl.coalesce("reissued_local_id", "child_local_id") if newest else pl.col("child_local_id")
    )
    sex = pl.when(pl.Series(unborn)).then(pl.lit("U")).otherwise("sex")
    old_sex = sex.replace_strict({"M": "1", "F": "2", "U": "0"})
    death = children["death_day"].fill_null(last + 1).to_numpy()
    identifiers = children.select(
        "person_id",
        LAchildID=local,
        UPN=pl.when(~coded).then(upn),
        FormerUPN=pl.when(~coded).then("former_upn"),
        UPNunknown=pl.when(coded).then(upn),
        PersonBirthDate=date_column("b", birth, unborn),
        ExpectedPersonBirthDate=date_column("e", birth, ~unborn),
        Sex=old_sex if year < 2025 else sex,
        PersonDeathDate=date_column("d", death, death > last),
        Ethnicity="ethnicity",
        Disability="codes",
    )
    assessments = of(need.assessments, pl.col("start") <= last, pl.col("authorised") >= first)
    plans = of(need.plans, pl.col("start") <= last, pl.col("end") >= first)
    enquiries = of(need.enquiries, pl.col("start").is_between(first, last))
    protection = of(need.protection, pl.col("start") <= last, pl.col("end") >= first)
    reviews = protection_reviews(protection).filter(pl.col("day").is_between(first, last))
    closes = day(cases, "close")
    return {
        "child_identifiers": identifiers,
        "cin_details": cases.select(
            "person_id",
            "referral_id",
            CINreferralDate=day(cases, "day"),
            ReferralSource="source",
            PrimaryNeedCode="need",
            CINclosureDate=closes,
            ReasonForClosure=pl.when(closes.is_not_null()).then("closure_reason"),
            DateOfInitialCPC=day(cases, "conference"),
            ReferralNFA=pl.col("path") == "nfa",
        ),
        "assessments": assessments.select(
            "referral_id",
            AssessmentActualStartDate=day(assessments, "start"),
            AssessmentInternalReviewDate=day(assessments, "review"),
            AssessmentAuthorisationDate=day(assessments, "authorised"),
            AssessmentFactors=pl.when(pl.col("authorised") <= last).then("factors"),
        ),
        "cin_plan_dates": plans.select(
            "referral_id", CINPlanStartDate=day(plans, "start"), CINPlanEndDate=day(plans, "end")
        ),
        "section_47": enquiries.select(
            "referral_id",
            S47ActualStartDate=day(enquiries, "start"),
            InitialCPCtarget=date_column("t", enquiries["target"].to_numpy()),
            DateOfInitialCPC=day(enquiries, "conference"),
            ICPCnotRequired="not_required",
        ),
        "child_protection_plans": protection.select(
            "referral_id",
            "plan_id",
            CPPstartDate=day(protection, "start"),
            CPPendDate=day(protection, "end"),
            InitialCategoryOfAbuse="category",
            LatestCategoryOfAbuse="latest_category",
            NumberOfPreviousCPP="earlier",
        ),
        "reviews": reviews.select("plan_id", CPPreviewDate=day(reviews, "day")),
    }


def write_cin_census(
    landing: Path, contract: Contract, sent: Sent, rng: np.random.Generator
) -> Written:
    """Write the XML return; ``contract`` is not needed for its form but names its tables."""
    tables = dict(sent.tables)
    year = contract.collection_year(sent.period)
    tables, faults = _break(sent, tables, rng)
    identifiers = tables["child_identifiers"]
    content = _document(sent, tables, year).encode("utf-8")
    name = f"CIN_{sent.names['authority']}_{year}.xml"
    records = identifiers.select(person_id="person_id", local_id="LAchildID")
    return Written(
        records=located(sent, "child_identifiers", records),
        faults=located(sent, "cin_details", faults),
        rows=sum(frame.height for frame in tables.values()),
        size=write_files(landing, sent, {name: (content, None)}),
    )


def _document(sent: Sent, tables: dict[str, pl.DataFrame], year: int) -> str:
    style = sent.style
    identifiers = tables["child_identifiers"]
    sex = "Sex" if year >= 2025 else "GenderCurrent"
    child = pl.concat_str(
        pl.lit("<Child><ChildIdentifiers>"),
        *(
            _element(c, style)
            for c in (
                "LAchildID",
                "UPN",
                "FormerUPN",
                "UPNunknown",
                "PersonBirthDate",
                "ExpectedPersonBirthDate",
            )
        ),
        _element("Sex", style, tag=sex),
        _element("PersonDeathDate", style),
        pl.lit("</ChildIdentifiers><ChildCharacteristics>"),
        _element("Ethnicity", style),
        pl.lit("<Disabilities><Disability>"),
        pl.col("Disability")
        .fill_null("NONE")
        .str.replace_all(" ", "</Disability><Disability>", literal=True),
        pl.lit("</Disability></Disabilities></ChildCharacteristics>"),
    )
    cases = tables["cin_details"].with_columns(
        start=pl.concat_str(
            pl.lit("<CINdetails>"),
            *(
                _element(c, style)
                for c in (
                    "CINreferralDate",
                    "ReferralSource",
                    "PrimaryNeedCode",
                    "CINclosureDate",
                    "ReasonForClosure",
                    "DateOfInitialCPC",
                )
            ),
        ),
        nfa=_element("ReferralNFA", style),
    )
    factors = (
        pl.when(pl.col("AssessmentFactors").is_not_null())
        .then(
            pl.concat_str(
                pl.lit("<FactorsIdentifiedAtAssessment><AssessmentFactors>"),
                pl.col("AssessmentFactors").str.replace_all(
                    " ", "</AssessmentFactors><AssessmentFactors>", literal=True
                ),
                pl.lit("</AssessmentFactors></FactorsIdentifiedAtAssessment>"),
            )
        )
        .otherwise(pl.lit(""))
    )
    reviews = (
        tables["reviews"]
        .with_columns(review=_element("CPPreviewDate", style))
        .group_by("plan_id", maintain_order=True)
        .agg(pl.col("review").str.join(""))
    )
    protection = (
        tables["child_protection_plans"]
        .join(reviews, on="plan_id", how="left", maintain_order="left")
        .with_columns(
            reviews=pl.when(pl.col("review").is_not_null())
            .then(pl.concat_str(pl.lit("<Reviews>"), "review", pl.lit("</Reviews>")))
            .otherwise(pl.lit(""))
        )
    )
    blocks = {
        "Assessments": _blocks(tables["assessments"], "Assessments", style, last=factors),
        "CINPlanDates": _blocks(tables["cin_plan_dates"], "CINPlanDates", style),
        "Section47": _blocks(tables["section_47"], "Section47", style),
        "ChildProtectionPlans": _blocks(
            protection, "ChildProtectionPlans", style, last=pl.col("reviews")
        ),
    }
    for name, frame in blocks.items():
        cases = cases.join(
            frame.rename({"block": name}), on="referral_id", how="left", maintain_order="left"
        )
    body = (
        cases.with_columns(
            case=pl.concat_str(
                "start",
                *(pl.col(n).fill_null("") for n in ("Assessments", "CINPlanDates", "Section47")),
                "nfa",
                pl.col("ChildProtectionPlans").fill_null(""),
                pl.lit("</CINdetails>"),
            )
        )
        .group_by("person_id", maintain_order=True)
        .agg(pl.col("case").str.join(""))
    )
    children = identifiers.with_columns(child=child).join(
        body, on="person_id", how="left", maintain_order="left"
    )
    lines = children.select(
        pl.concat_str("child", pl.col("case").fill_null(""), pl.lit("</Child>"))
    )
    header = (
        '<?xml version="1.0" encoding="utf-8"?>\n<Message><Header><CollectionDetails>'
        f"<Collection>CIN</Collection><Year>{year}</Year>"
        f"<ReferenceDate>{year}-03-31</ReferenceDate></CollectionDetails><Source>"
        f"<SourceLevel>L</SourceLevel><LEA>{sent.names['authority']}</LEA>"
        "<SoftwareCode>Synthetic</SoftwareCode><Release>1.0</Release><SerialNo>001</SerialNo>"
        f"<DateTime>{sent.produced}</DateTime></Source></Header><Children>\n"
    )
    return header + "\n".join(lines.to_series()) + "\n</Children></Message>\n"


def _blocks(
    frame: pl.DataFrame, tag: str, style: Style, *, last: pl.Expr | None = None
) -> pl.DataFrame:
    """Each row as one element; the elements of a referral joined: referral_id, block."""
    skip = {"referral_id", "plan_id", "review", "reviews", "AssessmentFactors"}
    parts = [_element(c, style) for c in frame.columns if c not in skip]
    tail = [last] if last is not None else []
    return (
        frame.with_columns(
            block=pl.concat_str(pl.lit(f"<{tag}>"), *parts, *tail, pl.lit(f"</{tag}>"))
        )
        .group_by("referral_id", maintain_order=True)
        .agg(pl.col("block").str.join(""))
    )


def _element(column: str, style: Style, tag: str | None = None) -> pl.Expr:
    """``<Tag>value</Tag>``, or nothing where the value is missing."""
    name = tag or column
    value: Any = pl.col(column)
    if column in ("ReferralNFA", "ICPCnotRequired"):
        value = pl.when(value).then(pl.lit(style.true)).otherwise(pl.lit(style.false))
    return (
        pl.when(pl.col(column).is_null())
        .then(pl.lit(""))
        .otherwise(pl.concat_str(pl.lit(f"<{name}>"), value.cast(pl.String), pl.lit(f"</{name}>")))
    )


def _break(
    sent: Sent, tables: dict[str, pl.DataFrame], rng: np.random.Generator
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Spoil a few closure dates and leave out a few referral dates."""
    rules = sent.faults
    schema = {"fault": pl.String, "row_number": pl.Int64}
    if not rules or tables["cin_details"].height < 20:
        return tables, pl.DataFrame(schema=schema)
    cases = tables["cin_details"]
    broken = []
    taken: set[int] = set()
    for fault in ("unparseable_date", "missing_key"):
        column, rate = rules[fault]
        values = cases[column].cast(pl.String).to_list()
        free = [r for r in range(cases.height) if r not in taken]
        for row in rng.choice(free, size=max(1, round(rate * cases.height)), replace=False):
            taken.add(int(row))
            values[row] = (
                BAD_DATES[int(rng.integers(len(BAD_DATES)))]
                if fault == "unparseable_date"
                else None
            )
            broken.append((fault, int(row) + 1))
        cases = cases.with_columns(text(values).alias(column))
    frame = pl.DataFrame(sorted(broken, key=lambda b: b[1]), schema=schema, orient="row")
    return {**tables, "cin_details": cases}, frame
