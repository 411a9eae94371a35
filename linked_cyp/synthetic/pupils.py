"""What pupils carry from school to school: UPN, ULN, free school meals, SEN and first language."""

from __future__ import annotations

import numpy as np
import polars as pl

from linked_cyp.synthetic.numbers import temporary_upns, ulns, upns
from linked_cyp.synthetic.parameters import Streams, academic_year, pick, pick_by, text
from linked_cyp.synthetic.places import Places
from linked_cyp.synthetic.population import Population


def draw_pupils(
    settings: dict,
    streams: Streams,
    places: Places,
    population: Population,
    schools: pl.DataFrame,
    enrolments: pl.DataFrame,
) -> pl.DataFrame:
    rng = streams("pupils")
    first = (
        enrolments.sort("person_id", "from_day", maintain_order=True)
        .unique("person_id", keep="first", maintain_order=True)
        .join(
            schools.select("school_id", "authority", "estab"),
            on="school_id",
            how="left",
            maintain_order="left",
        )
    )
    pupils = first.select("person_id", "household_id", "birth").join(
        population.persons.select("person_id", "sex", "origin", "decile", "from_day"),
        on="person_id",
        how="left",
        maintain_order="left",
    )
    fsm_from, fsm_to = _fsm(settings, rng, pupils, first["from_day"].to_numpy())
    sen, types = _sen(settings, rng, pupils, ~np.isnan(fsm_from))
    return pl.concat(
        [
            pupils.select("person_id"),
            _upns(settings, rng, places, first),
            pl.DataFrame(
                {
                    "uln": text(ulns(rng, first.height)),
                    "fsm_from": pl.Series(fsm_from).fill_nan(None).cast(pl.Int64),
                    "fsm_to": pl.Series(fsm_to).fill_nan(None).cast(pl.Int64),
                    "sen": text(sen),
                    "sen_types": text(types),
                    "language": text(_language(settings, rng, pupils)),
                }
            ),
        ],
        how="horizontal",
    )


def _upns(
    settings: dict, rng: np.random.Generator, places: Places, first: pl.DataFrame
) -> pl.DataFrame:
    """UPNs allocated by the first school; some pupils bring one, some start on a temporary one."""
    size = first.height
    arrives = first["moved_in"].to_numpy() | (first["phase"].to_numpy() == "secondary")
    brings = arrives & (rng.random(size) < settings["upn_from_elsewhere"])
    # what it says of the school that allocated it: that school, or an invented one elsewhere
    year = academic_year(first["from_day"].to_numpy()) + 1
    reception = academic_year(first["birth"].to_numpy()) + 5
    outside = int(places.areas["number"][places.outside])
    authority = np.where(brings, outside, first["authority"].to_numpy())
    estab = np.where(brings, 2000 + rng.integers(0, 900, size), first["estab"].to_numpy())
    year = np.where(brings, np.maximum(reception, 2000), year)
    serial = (
        pl.DataFrame({"a": authority, "e": estab, "y": year})
        .select(pl.int_range(pl.len()).over("a", "e", "y") + 1)
        .to_series()
        .to_numpy()
    )
    # a school that gives more than 999 numbers in a year goes on in invented establishments
    estab = np.where(serial > 999, 9000 + serial // 1000, estab)
    permanent = upns(authority, estab, year, (serial - 1) % 999 + 1)
    temporary = temporary_upns(
        first["authority"].to_numpy(), first["estab"].to_numpy(), year, serial % 2000
    )
    is_temporary = arrives & ~brings & (rng.random(size) < settings["temporary_upn"] * 2)
    had_temporary = arrives & brings & (rng.random(size) < settings["temporary_upn"])
    return pl.DataFrame(
        {
            "upn": text(np.where(is_temporary, temporary, permanent)),
            "former_upn": text(np.where(had_temporary, temporary, None)),
        }
    )


def _fsm(
    settings: dict, rng: np.random.Generator, pupils: pl.DataFrame, entry: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """First and last day of free school meal eligibility, by household (NaN: never, or open)."""
    rules = settings["fsm"]
    household = pupils["household_id"].to_numpy()
    draw = rng.random(int(household.max(initial=0)) + 1)[household]
    eligible = draw < np.asarray(rules["by_decile"])[pupils["decile"].to_numpy() - 1]
    start = entry + rng.integers(0, 500, pupils.height)
    ended = eligible & (rng.random(pupils.height) < rules["ended"])
    end = start + rng.integers(200, 1500, pupils.height)
    return np.where(eligible, start, np.nan), np.where(ended, end, np.nan)


def _sen(
    settings: dict, rng: np.random.Generator, pupils: pl.DataFrame, fsm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rules = settings["sen"]
    boy = (pupils["sex"] == "M").to_numpy()
    more = np.where(fsm, rules["deprived"], 0.95)
    plan = np.where(boy, rules["plan"]["boy"], rules["plan"]["girl"]) * more
    support = np.where(boy, rules["support"]["boy"], rules["support"]["girl"]) * more
    draw = rng.random(pupils.height)
    sen = np.where(draw < plan, "E", np.where(draw < plan + support, "K", "N")).astype(object)
    main = pick(rng, rules["types"], pupils.height)
    second = pick(rng, rules["types"], pupils.height)
    both = rng.random(pupils.height) < rules["second_need"]
    types = np.array(
        [f"{a} {b}" if two and a != b else a for a, b, two in zip(main, second, both, strict=True)],
        dtype=object,
    )
    types[sen == "N"] = None
    return sen, types


def _language(settings: dict, rng: np.random.Generator, pupils: pl.DataFrame) -> np.ndarray:
    tables = {
        origin: {code: share, "ENG": 1 - share} if code != "ENG" else {"ENG": 1.0}
        for origin, (code, share) in settings["language"].items()
    }
    return pick_by(rng, pupils["origin"].to_numpy().astype(object), tables)
