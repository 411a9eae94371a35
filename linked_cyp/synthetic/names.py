"""Names by sex and origin: drawing them, and the familiar and variant forms they take.

The lists are a general-knowledge sketch of naming in England, not taken from any record.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from linked_cyp.synthetic.parameters import Parameters, pick_index


def draw_forenames(
    rng: np.random.Generator, parameters: Parameters, sex: np.ndarray, origin: np.ndarray
) -> np.ndarray:
    """One forename for each child; a few are compound (Anne-Marie) or carry a leading Muhammad."""
    settings = parameters.population["forenames"]
    names = _draw(rng, parameters.forenames, "forename", sex, origin)
    compound = _rate(rng, origin, settings["compound"])
    if compound.any():
        second = _draw(rng, parameters.forenames, "forename", sex[compound], origin[compound])
        names[compound] = _joined(names[compound], second, "-")
    leading = (sex == "M") & _rate(rng, origin, {"default": 0.0, **settings["muhammad_first"]})
    for row in np.flatnonzero(leading):
        if not names[row].startswith(("Muham", "Moham")):
            names[row] = f"Muhammad {names[row]}"
    return names


def draw_middle_names(
    rng: np.random.Generator, parameters: Parameters, sex: np.ndarray, origin: np.ndarray
) -> np.ndarray:
    """Middle names, or None; Kaur and Singh where the origin is Sikh."""
    settings = parameters.population["forenames"]
    has = _rate(rng, origin, settings["middle_name"])
    middle = np.full(len(sex), None, dtype=object)
    middle[has] = _draw(rng, parameters.forenames, "forename", sex[has], origin[has])
    second = np.flatnonzero(has & (rng.random(len(sex)) < settings["second_middle_name"]))
    middle[second] = _joined(
        middle[second],
        _draw(rng, parameters.forenames, "forename", sex[second], origin[second]),
        " ",
    )
    sikh = has & (origin == "sikh")
    middle[sikh] = np.where(sex[sikh] == "M", "Singh", "Kaur")
    return middle


def draw_surnames(
    rng: np.random.Generator, parameters: Parameters, origin: np.ndarray
) -> np.ndarray:
    """Surnames: from the lists, built from parts (the long tail), or compounds of two."""
    settings = parameters.population["surnames"]
    everyone = np.full(len(origin), "", dtype=object)
    names = _draw(rng, parameters.surnames, "surname", everyone, origin)
    built = _rate(rng, origin, {"default": 0.0, **settings["built_tail"]})
    for group in settings["built_tail"]:
        rows = np.flatnonzero(built & (origin == group))
        parts = parameters.surname_parts.filter(pl.col("origin") == group)
        starts = parts.filter(pl.col("position") == "start")["part"].to_numpy()
        ends = parts.filter(pl.col("position") == "end")["part"].to_numpy()
        # a squared draw makes some built names commoner than others, as real ones are
        i = (rng.random(len(rows)) ** 1.6 * len(starts)).astype(int)
        j = (rng.random(len(rows)) ** 1.6 * len(ends)).astype(int)
        names[rows] = _joined(starts[i], ends[j], "")
    compound = np.flatnonzero(_rate(rng, origin, {"default": 0.0, **settings["compound_tail"]}))
    second = _draw(rng, parameters.surnames, "surname", everyone[compound], origin[compound])
    names[compound] = _joined(names[compound], second, " ")
    return names


def variants(parameters: Parameters, kind: str) -> dict[str, tuple[str, ...]]:
    """Each name's other forms of one kind: ``nickname`` or ``spelling``."""
    table = parameters.name_variants.filter(pl.col("kind") == kind)
    grouped: dict[str, tuple[str, ...]] = {}
    for name, variant in table.select("name", "variant").iter_rows():
        grouped[name] = (*grouped.get(name, ()), variant)
    return grouped


def _draw(
    rng: np.random.Generator,
    table: pl.DataFrame,
    column: str,
    sex: np.ndarray,
    origin: np.ndarray,
) -> np.ndarray:
    names = np.full(len(origin), None, dtype=object)
    keys = ["origin", "sex"] if "sex" in table.columns else ["origin"]
    for key, group in table.group_by(keys, maintain_order=True):
        rows = origin == key[0]
        if len(key) == 2:
            rows &= sex == key[1]
        rows = np.flatnonzero(rows)
        listed = group[column].to_numpy().astype(object)
        names[rows] = listed[pick_index(rng, group["weight"].to_list(), len(rows))]
    return names


def _rate(rng: np.random.Generator, origin: np.ndarray, rates: dict[str, float]) -> np.ndarray:
    chance = np.array([rates.get(o, rates["default"]) for o in origin])
    return rng.random(len(origin)) < chance


def _joined(first: np.ndarray, second: np.ndarray, between: str) -> np.ndarray:
    return np.array(
        [f"{a}{between}{b}" for a, b in zip(first, second, strict=True)], dtype=object
    ).reshape(len(first))
