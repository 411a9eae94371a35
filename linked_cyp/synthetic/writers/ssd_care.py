"""Children looked after, and those who have left care, in a safeguarding extract."""

from __future__ import annotations

import numpy as np
import polars as pl

from linked_cyp.synthetic.parameters import age_at, birthday, date_column, gamma_days, pick, text
from linked_cyp.synthetic.writers.ssd_extract import Extract, key

LEGAL_CHANGES, PLACEMENT_CHANGES = ("S", "L", "B", "U"), ("S", "P", "B", "T", "U")


def care_tables(extract: Extract) -> dict[str, pl.DataFrame]:
    """Episodes, placements, legal statuses, health, reviews, missing, permanence and leavers."""
    world = extract.world
    here = pl.col("area") == extract.area
    periods = world.care.periods.filter(here, pl.col("start") <= extract.day)
    episodes = world.care.episodes.filter(here, pl.col("start") <= extract.day).with_columns(
        placement_number=pl.col("reason").is_in(PLACEMENT_CHANGES).cum_sum().over("period_id"),
        legal_number=pl.col("reason").is_in(LEGAL_CHANGES).cum_sum().over("period_id"),
    )
    current = periods.filter(pl.col("end") > extract.day)
    return {
        **_episodes(extract, periods, episodes),
        **_health(extract, current),
        **_reviews(extract, periods),
        "missing": _missing(extract, periods),
        "permanence": _permanence(extract, periods),
        "cla_previous_permanence": _previous(extract, periods),
        "care_leavers": _leavers(extract, periods),
        "immigration_status": _unaccompanied(extract, periods),
        "mother": _mothers(extract, current),
    }


def _episodes(
    extract: Extract, periods: pl.DataFrame, episodes: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    world = extract.world
    led = world.need.referrals.filter(pl.col("path") == "care").select(
        "person_id", "referral_id", begun="day"
    )
    # the last referral for care on or before the day the period began
    begins = periods.select("person_id", "period_id", "start").sort("start", maintain_order=True)
    referred = begins.join_asof(
        led.sort("begun", maintain_order=True),
        left_on="start",
        right_on="begun",
        by="person_id",
        check_sortedness=False,
    ).select("period_id", "referral_id", entered="start")
    told = episodes.join(referred, on="period_id", how="left", maintain_order="left").join(
        world.places.postcodes.select("postcode_id", "postcode"),
        on="postcode_id",
        how="left",
        maintain_order="left",
    )
    ends = extract.date(told, "end")
    placements = _runs(told, "placement_number")
    legal = _runs(told, "legal_number")
    rules = world.parameters.part("early_help")["safeguarding"]["placement_distance"]
    rng = world.streams(f"ssd distance {extract.area}")
    miles = rng.gamma(rules["shape"], rules["mean"] / rules["shape"], placements.height)
    return {
        "cla_episodes": extract.named(
            told.select(
                "person_id",
                clae_cla_episode_id=key("E", "period_id", "number"),
                clae_cla_id=key("CLA", "period_id"),
                clae_referral_id=pl.when(pl.col("referral_id").is_not_null()).then(
                    key("R", "referral_id")
                ),
                clae_cla_placement_id=key("PL", "period_id", "placement_number"),
                clae_entered_care_date=extract.date(told, "entered"),
                clae_cla_episode_start_date=extract.date(told, "start"),
                clae_cla_episode_start_reason="reason",
                clae_cla_primary_need_code="need",
                clae_cla_episode_ceased_date=ends,
                clae_cla_episode_ceased_reason=pl.when(ends.is_not_null()).then("exit"),
            ),
            "clae_person_id",
        ),
        "cla_placement": extract.named(
            placements.select(
                "person_id",
                clap_cla_placement_id=key("PL", "period_id", "placement_number"),
                clap_cla_id=key("CLA", "period_id"),
                clap_cla_placement_start_date=extract.date(placements, "start"),
                clap_cla_placement_end_date=extract.date(placements, "end"),
                clap_cla_placement_type="placement",
                clap_cla_placement_provider="provider",
                clap_cla_placement_change_reason=pl.when(pl.col("end") <= extract.day).then(
                    "change_reason"
                ),
                clap_cla_placement_urn="urn",
                clap_cla_placement_postcode="postcode",
                clap_cla_placement_distance=pl.Series(miles).round(1),
            ),
            "clap_person_id",
        ),
        "legal_status": extract.named(
            legal.select(
                "person_id",
                lega_legal_status_id=key("LS", "period_id", "legal_number"),
                lega_legal_status="legal_status",
                lega_legal_status_start_date=extract.date(legal, "start"),
                lega_legal_status_end_date=extract.date(legal, "end"),
            ),
            "lega_person_id",
        ),
    }


def _runs(episodes: pl.DataFrame, number: str) -> pl.DataFrame:
    """Episodes joined while ``number`` stays: the first one's facts, the last one's end."""
    return episodes.group_by("period_id", number, maintain_order=True).agg(
        pl.col("person_id", "start", "placement", "provider", "urn", "postcode").first(),
        pl.col("legal_status").first(),
        pl.col("end", "change_reason").last(),
    )


def _health(extract: Extract, current: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Checks and scores of the last year of children looked after on the day."""
    rules = extract.world.parameters.part("early_help")["safeguarding"]
    rng = extract.world.streams(f"ssd health {extract.area}")
    since = np.maximum(current["start"].to_numpy(), extract.day - 365)
    age = age_at(current["birth"].to_numpy(), extract.day)

    def some_day() -> pl.Series:
        span = extract.day - since
        return date_column("day", since + (rng.random(current.height) * span).astype(int))

    checks = []
    for code, kind in (
        ("health_assessment", "Health Assessment"),
        ("dental_check", "Dental Check"),
    ):
        frame = current.select(
            "person_id",
            clah_health_check_id=key(f"H{code[0].upper()}", "period_id"),
            clah_health_check_type=pl.lit(kind),
            clah_health_check_date=some_day(),
        )
        checks.append(frame.filter(extract.chance(code, frame.height, rules[code])))
    model = rules["sdq"]
    scored = (age >= 4) & (age <= 16)
    score = np.rint(rng.normal(model["mean"], model["spread"], current.height)).clip(0, 40)
    missing = rng.random(current.height) < model["missing"]
    reasons = text(pick(rng, model["reasons"], current.height))
    sdq = current.select(
        "person_id",
        csdq_table_id=key("SDQ", "period_id"),
        csdq_sdq_completed_date=some_day().set(pl.Series(missing), None),
        csdq_sdq_score=pl.Series(score.astype(int)).set(pl.Series(missing), None),
        csdq_sdq_reason=pl.when(pl.Series(missing)).then(reasons),
    ).filter(pl.Series(scored))
    misuse = extract.chance("misuse", current.height, rules["substance_misuse"])
    substance = current.select(
        "person_id",
        clas_substance_misuse_id=key("SM", "period_id"),
        clas_substance_misuse_date=some_day(),
        clas_intervention_received=extract.chance("intervention", current.height, 0.6),
    ).filter(misuse & pl.Series(age >= 10))
    immunised = current.select(
        "person_id",
        clai_immunisations_status=extract.chance("immunised", current.height, rules["up_to_date"]),
        clai_immunisations_status_date=some_day(),
    ).unique("person_id", keep="last", maintain_order=True)
    return {
        "cla_health": extract.named(pl.concat(checks), "clah_person_id"),
        "cla_immunisations": extract.named(immunised, "clai_person_id"),
        "cla_substance_misuse": extract.named(substance, "clas_person_id"),
        "sdq_scores": extract.named(sdq, "csdq_person_id"),
    }


def _reviews(extract: Extract, periods: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Reviews of the last two years; the row names the period of care and nobody."""
    rules = extract.world.parameters.social_care["care"]
    step = rules["reviews"]
    offsets = np.concatenate(
        [[step["first_days"]], step["second_days"] + step["then_days"] * np.arange(39)]
    )
    start, end = periods["start"].to_numpy(), periods["end"].to_numpy()
    days = start[:, None] + offsets[None, :]
    held = (days <= np.minimum(extract.day, end)[:, None]) & (days > extract.day - 730)
    row, number = np.nonzero(held)
    rng = extract.world.streams(f"ssd reviews {extract.area}")
    young = age_at(periods["birth"].to_numpy()[row], days[row, number]) < 4
    codes = np.where(young, "PN0", pick(rng, rules["review_codes"], len(row)))
    late = rng.integers(0, 12, len(row))
    reviews = periods.gather(row).with_columns(number=pl.Series(number))
    return {
        "cla_reviews": reviews.select(
            clar_cla_review_id=key("RV", "period_id", "number"),
            clar_cla_id=key("CLA", "period_id"),
            clar_cla_review_due_date=date_column("due", days[row, number]),
            clar_cla_review_date=date_column(
                "held", np.minimum(days[row, number] + late, extract.day)
            ),
            clar_cla_review_cancelled=pl.lit(False),
            clar_cla_review_participation=text(codes),
        )
    }


def _missing(extract: Extract, periods: pl.DataFrame) -> pl.DataFrame:
    rules = extract.world.parameters.social_care["care"]["missing"]
    told = extract.world.parameters.part("early_help")["safeguarding"]["return_interview"]
    rng = extract.world.streams(f"ssd missing {extract.area}")
    start = np.maximum(periods["start"].to_numpy(), extract.day - 730)
    end = np.minimum(periods["end"].to_numpy(), extract.day)
    teen = age_at(periods["birth"].to_numpy(), end) >= 12
    rate = np.where(teen, rules["rate_over_12"], rules["rate_under_12"])
    row = np.repeat(
        np.arange(periods.height), rng.poisson(rate * np.maximum(end - start, 0) / 365.25)
    )
    day = start[row] + (rng.random(len(row)) * (end - start)[row]).astype(int)
    back = np.minimum(day + rng.geometric(0.5, len(row)) - 1, end[row])
    away = rng.random(len(row)) < rules["away_share"]
    offered = rng.random(len(row)) < told["offered"]
    accepted = offered & (rng.random(len(row)) < told["accepted"])
    events = periods.gather(row).with_columns(number=pl.int_range(pl.len()))
    return extract.named(
        events.select(
            "person_id",
            miss_table_id=key("M", "period_id", "number"),
            miss_missing_episode_type=text(np.where(away, "A", "M")),
            miss_missing_episode_start_date=date_column("s", day),
            miss_missing_episode_end_date=date_column("e", back),
            miss_missing_rhi_offered=pl.Series(offered),
            miss_missing_rhi_accepted=pl.Series(accepted),
        ),
        "miss_person_id",
    )


def _permanence(extract: Extract, periods: pl.DataFrame) -> pl.DataFrame:
    """Adoptions made and, without adopters yet, those under way."""
    rules = extract.world.parameters.social_care["care"]["adoption"]
    planned = periods.filter(
        "adopts", pl.col("end") - rules["order_before_days"] - 100 <= extract.day
    )
    order = planned["end"].to_numpy()
    made = order <= extract.day

    def day(before: int) -> pl.Series:
        return date_column("day", order - before, order - before > extract.day)

    rng = extract.world.streams(f"ssd adopters {extract.area}")
    couple = rng.random(planned.height)
    sexes = np.select([couple < 0.84, couple < 0.9, couple < 0.94], ["MF", "FF", "MM"], "F1")
    status = np.select([couple < 0.7, couple < 0.84, couple < 0.94], ["L11", "L3", "L12"], "L0")
    carer = rng.random(planned.height) < rules["same_carer"]
    adopted = pl.Series(made)
    return extract.named(
        planned.select(
            "person_id",
            perm_table_id=key("PM", "period_id"),
            perm_cla_id=key("CLA", "period_id"),
            perm_adm_decision_date=day(rules["order_before_days"] + 60),
            perm_placement_order_date=day(rules["order_before_days"]),
            perm_matched_date=day(rules["placed_before_days"] + 15),
            perm_placed_for_adoption_date=day(rules["placed_before_days"]),
            perm_adopted_by_carer_flag=pl.when(adopted).then(pl.Series(carer)),
            perm_permanence_order_date=day(0),
            perm_permanence_order_type=pl.when(adopted).then(pl.lit("Adoption Order")),
            perm_number_of_adopters=pl.when(adopted).then(pl.Series(np.where(sexes == "F1", 1, 2))),
            perm_adopter_sex=pl.when(adopted).then(text(sexes)),
            perm_adopter_legal_status=pl.when(adopted).then(text(status)),
        ),
        "perm_person_id",
    )


def _previous(extract: Extract, periods: pl.DataFrame) -> pl.DataFrame:
    rules = extract.world.parameters.social_care["care"]["previous_permanence"]
    rng = extract.world.streams(f"ssd previous permanence {extract.area}")
    codes = text(pick(rng, rules, periods.height))
    birth, start = periods["birth"].to_numpy(), periods["start"].to_numpy()
    year = (birth + (start - birth) // 2).astype("datetime64[D]").astype("datetime64[Y]")
    told = periods.select(
        "person_id",
        lapp_table_id=key("PP", "period_id"),
        lapp_previous_permanence_option=codes,
        lapp_previous_permanence_order_date=pl.concat_str(
            pl.lit("zz/zz/"), pl.Series(year.astype(str))
        ),
    )
    return extract.named(
        told.filter(pl.col("lapp_previous_permanence_option") != "Z1"), "lapp_person_id"
    )


def _leavers(extract: Extract, periods: pl.DataFrame) -> pl.DataFrame:
    """Young people of 17 to 21 who were looked after at 16 or later."""
    rules = extract.world.parameters.social_care["care"]["leavers"]
    ended = periods.filter(pl.col("end") <= extract.day, pl.col("exit") != "E2")
    birth, end = ended["birth"].to_numpy(), ended["end"].to_numpy()
    age = age_at(birth, extract.day)
    left = ended.filter(pl.Series((age >= 17) & (age <= 21) & (age_at(birth, end) >= 16)))
    left = left.unique("person_id", keep="last", maintain_order=True)
    rng = extract.world.streams(f"ssd leavers {extract.area}")
    touch = text(pick(rng, rules["in_touch"], left.height))
    home = text(pick(rng, rules["accommodation"], left.height))
    activity = text(pick(rng, rules["activity"], left.height))
    suits = extract.chance("suitable", left.height, 0.88)
    latest = extract.day - gamma_days(rng, left.height, shape=1.2, mean=40, most=360)
    latest = np.maximum(latest, left["end"].to_numpy())
    reached = touch == "YES"
    return extract.named(
        left.select(
            "person_id",
            clea_table_id=key("CL", "period_id"),
            clea_care_leaver_in_touch=touch,
            clea_care_leaver_latest_contact=date_column("d", latest),
            clea_care_leaver_accommodation=pl.when(reached).then(home.str.slice(0, 1)),
            clea_care_leaver_accom_suitable=pl.when(reached & suits)
            .then(pl.lit("1"))
            .when(reached)
            .then(pl.lit("2")),
            clea_care_leaver_activity=pl.when(reached).then(activity),
        ),
        "clea_person_id",
    )


def _unaccompanied(extract: Extract, periods: pl.DataFrame) -> pl.DataFrame:
    alone = periods.filter("is_unaccompanied")
    adult = birthday(alone["birth"].to_numpy(), 18)
    return extract.named(
        alone.select(
            "person_id",
            immi_immigration_status_id=key("I", "period_id"),
            immi_immigration_status_start_date=extract.date(alone, "start"),
            immi_immigration_status_end_date=date_column("e", adult, adult > extract.day),
        ),
        "immi_person_id",
    )


def _mothers(extract: Extract, current: pl.DataFrame) -> pl.DataFrame:
    """Girls of 15 and over who are mothers; their own children are nobody else here."""
    world = extract.world
    old_enough = pl.Series(age_at(current["birth"].to_numpy(), extract.day) >= 15)
    girls = current.filter(old_enough).join(
        world.population.persons.filter(pl.col("sex") == "F").select("person_id"),
        on="person_id",
        how="semi",
        maintain_order="left",
    )
    rate = world.parameters.social_care["care"]["mother_girls_over_14"]
    mothers = girls.filter(extract.chance("mother", girls.height, rate))
    born = birthday(mothers["birth"].to_numpy(), 15) + 60
    return extract.named(
        mothers.select(
            "person_id",
            moth_table_id=key("MO", "period_id"),
            moth_childs_person_id=key("OC", "period_id"),
            moth_childs_dob=date_column("b", np.minimum(born, extract.day)),
        ),
        "moth_person_id",
    )
