"""What each source records of a child: the truth, with that source's recording errors.

``observe`` takes the true identity at registration, one row for each registration, and returns
what was written down, with a column ``errors`` naming what went wrong (for evaluation only).
Rates come from ``parameters/errors.yaml``; a row's rates are multiplied by those of its ethnic
group and of its area's deprivation.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.synthetic.names import variants
from linked_cyp.synthetic.parameters import Parameters, text

NEIGHBOURS = {
    "a": "sqz",
    "b": "vn",
    "c": "xv",
    "d": "sf",
    "e": "wr",
    "f": "dg",
    "g": "fh",
    "h": "gj",
    "i": "uo",
    "j": "hk",
    "k": "jl",
    "l": "k",
    "m": "n",
    "n": "bm",
    "o": "ip",
    "p": "o",
    "q": "wa",
    "r": "et",
    "s": "ad",
    "t": "ry",
    "u": "yi",
    "v": "cb",
    "w": "qe",
    "x": "zc",
    "y": "tu",
    "z": "x",
}
Rewrite = Callable[[str, np.random.Generator], str | None]


def observe(
    frame: pl.DataFrame, parameters: Parameters, source: str, rng: np.random.Generator
) -> pl.DataFrame:
    """Apply a source's error model.

    ``frame`` holds ethnicity and decile, and any of forename, surname, birth, sex, postcode,
    nhs_number and upn; with them earlier_surname (before a change of name), twin_forename,
    sibling_nhs_number or sibling_upn, is_newborn. Columns that are absent are left alone.
    Ethnicity is recorded
    (with errors) only if there is a column record_ethnicity, for it sets every row's rates.
    ``postcode_frozen`` is added: the recorded postcode does not follow later moves.
    """
    model = parameters.errors["sources"][source]
    view = _View(frame, parameters, rng)
    _names(view, model, parameters)
    _dates(view, model.get("birth_date", {}))
    _sex(view, model.get("sex", {}))
    for column in ("nhs_number", "upn"):
        _identifiers(view, column, model.get(column, {}), model.get("twin_mix_up", 0))
    _postcodes(view, model.get("postcode", {}))
    _ethnicity(view, model.get("ethnicity", {}), parameters)
    return view.result().drop("record_ethnicity", strict=False)


class _View:
    """Columns of a frame as arrays, the rows each error strikes, and a note of every error."""

    def __init__(
        self, frame: pl.DataFrame, parameters: Parameters, rng: np.random.Generator
    ) -> None:
        self.frame = frame
        self.rng = rng
        multipliers = parameters.errors["multipliers"]
        by_group = frame["ethnicity"].replace_strict(multipliers["ethnicity"], default=1.0)
        by_decile = np.asarray(multipliers["decile"])[frame["decile"].to_numpy() - 1]
        self.multiplier = by_group.to_numpy() * by_decile
        self.columns: dict[str, np.ndarray] = {}
        self.notes: list[tuple[np.ndarray, str]] = []

    def __contains__(self, name: str) -> bool:
        return name in self.frame.columns

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.columns:
            values = self.frame[name]
            self.columns[name] = (
                np.array(values.to_list(), dtype=object)
                if values.dtype == pl.String
                else values.to_numpy().copy()
            )
        return self.columns[name]

    def struck(self, rate: float) -> np.ndarray:
        """Row numbers that an error of this base rate strikes."""
        return np.flatnonzero(self.rng.random(self.frame.height) < rate * self.multiplier)

    def note(self, rows: np.ndarray, error: str) -> None:
        self.notes.append((rows, error))

    def rewrite(self, column: str, rate: float, error: str, function: Rewrite) -> np.ndarray:
        """Replace values an error strikes (None or no change is no error); the rows changed."""
        values = self[column]
        changed = []
        for row in self.struck(rate):
            before = values[row]
            after = function(before, self.rng) if before else None
            if after and after != before:
                values[row] = after
                changed.append(row)
        rows = np.array(changed, dtype=int)
        self.note(rows, f"{column}.{error}")
        return rows

    def result(self) -> pl.DataFrame:
        errors = [""] * self.frame.height
        for rows, error in self.notes:
            for row in rows:
                errors[row] = f"{errors[row]} {error}".strip()
        replaced = [
            text(values).alias(name) if values.dtype == object else pl.Series(name, values)
            for name, values in self.columns.items()
        ]
        return self.frame.with_columns(
            *replaced, pl.Series("errors", [e or None for e in errors], dtype=pl.String)
        )


def _names(view: _View, model: Mapping[str, Any], parameters: Parameters) -> None:
    if "forename" not in view:
        return
    nicknames, spellings = (variants(parameters, kind) for kind in ("nickname", "spelling"))
    if "twin_forename" in view:
        rows = view.struck(model.get("twin_mix_up", 0))
        rows = np.array([r for r in rows if view["twin_forename"][r] is not None], dtype=int)
        view["forename"][rows] = view["twin_forename"][rows]
        view.note(rows, "forename.twin")
    if "is_newborn" in view:
        rows = view.struck(model.get("baby_forename", 0))
        rows = rows[view["is_newborn"][rows]]
        view["forename"][rows] = "BABY"
        view.note(rows, "forename.baby")
    if "earlier_surname" in view:
        earlier = view["earlier_surname"]
        rows = view.struck(model.get("surname_change_missed", 0))
        rows = np.array([r for r in rows if earlier[r] is not None], dtype=int)
        view["surname"][rows] = earlier[rows]
        view.note(rows, "surname.not_updated")
    functions: dict[str, Rewrite] = {
        "nickname": lambda name, rng: _one_of(nicknames.get(name), rng),
        "spelling": lambda name, rng: _one_of(spellings.get(name), rng),
        "typo": typing_error,
        "plain_letters": lambda name, rng: plain_letters(name),
        "punctuation": punctuation,
        "part_only": part_only,
    }
    for column in ("forename", "surname"):
        for error, rate in model.get(column, {}).items():
            view.rewrite(column, rate, error, functions[error])
    rows = view.struck(model.get("names", {}).get("swapped", 0))
    forename, surname = view["forename"], view["surname"]
    forename[rows], surname[rows] = surname[rows].copy(), forename[rows].copy()
    view.note(rows, "names.swapped")


def _dates(view: _View, model: Mapping[str, float]) -> None:
    if "birth" not in view or not model:
        return
    birth = view["birth"]
    functions = {
        "transposed": transposed_day,
        "first_of_january": lambda day, rng: int(
            (np.datetime64(int(day), "D").astype("datetime64[Y]"))
            .astype("datetime64[D]")
            .astype(int)
        ),
        "digit": lambda day, rng: int(day) + int(rng.choice([-365, 365, -10, 10, -1, 1])),
    }
    for error, rate in model.items():
        changed = []
        for row in view.struck(rate):
            after = functions[error](birth[row], view.rng)
            if after is not None and after != birth[row]:
                birth[row] = after
                changed.append(row)
        view.note(np.array(changed, dtype=int), f"birth_date.{error}")


def _sex(view: _View, model: Mapping[str, float]) -> None:
    if "sex" in view and model:
        rows = view.struck(model["wrong"])
        view["sex"][rows] = np.where(view["sex"][rows] == "M", "F", "M")
        view.note(rows, "sex.wrong")


def _identifiers(view: _View, column: str, model: Mapping[str, float], twins: float) -> None:
    if column not in view or not model:
        return
    values = view[column]
    for other, rate in (("sibling", model.get("sibling", 0)), ("twin", twins)):
        others = view[f"{other}_{column}"]
        rows = view.struck(rate)
        rows = np.array(
            [r for r in rows if others[r] is not None and values[r] is not None], dtype=int
        )
        values[rows] = others[rows]
        view.note(rows, f"{column}.{other}")
    view.rewrite(column, model.get("digit", 0), "digit", wrong_digit)
    missing = view.struck(model.get("missing", 0))
    if "missing_newborn" in model:
        newborn = np.flatnonzero(view["is_newborn"])
        chosen = newborn[view.rng.random(len(newborn)) < model["missing_newborn"]]
        missing = np.union1d(missing, chosen)
    values[missing] = None
    view.note(missing, f"{column}.missing")


def _postcodes(view: _View, model: Mapping[str, float]) -> None:
    if "postcode" not in view or not model:
        return
    frozen = np.zeros(view.frame.height, dtype=bool)
    stale = view.struck(model["stale"])
    view.note(stale, "postcode.not_updated")
    digits = view.rewrite("postcode", model["digit"], "digit", wrong_digit)
    missing = view.struck(model["missing"])
    view["postcode"][missing] = None
    view.note(missing, "postcode.missing")
    for rows in (stale, digits, missing):
        frozen[rows] = True
    view.columns["postcode_frozen"] = frozen


def _ethnicity(view: _View, model: Mapping[str, float], parameters: Parameters) -> None:
    if not model or "record_ethnicity" not in view:
        return
    groups = parameters.ethnicity["ethnicity"].to_numpy()
    values = view["ethnicity"]
    rows = view.struck(model["other_group"])
    values[rows] = view.rng.choice(groups, len(rows))
    view.note(rows, "ethnicity.other_group")
    rows = view.struck(model["unknown"])
    values[rows] = np.where(view.rng.random(len(rows)) < 0.4, "REFU", "NOBT")
    view.note(rows, "ethnicity.unknown")


def typing_error(name: str, rng: np.random.Generator) -> str:
    """One slip of the fingers: two letters swapped, one dropped, doubled or hit beside."""
    if len(name) < 3:
        return name
    at = int(rng.integers(1, len(name) - 1))
    match int(rng.integers(4)):
        case 0:
            return name[:at] + name[at + 1] + name[at] + name[at + 2 :]
        case 1:
            return name[:at] + name[at + 1 :]
        case 2:
            return name[:at] + name[at] + name[at:]
        case _:
            beside = NEIGHBOURS.get(name[at].lower())
            return (
                name[:at] + (_one_of(tuple(beside), rng) or "") + name[at + 1 :] if beside else name
            )


def plain_letters(name: str) -> str:
    """The name without diacritics, as systems that hold only A to Z write it."""
    special = name.translate(str.maketrans("łŁøØđĐıß", "lLoOdDis"))
    return "".join(c for c in unicodedata.normalize("NFD", special) if not unicodedata.combining(c))


def punctuation(name: str, rng: np.random.Generator) -> str | None:
    """Hyphens and apostrophes dropped, or turned into spaces or typographic ones."""
    if "-" in name:
        return name.replace("-", " " if rng.random() < 0.7 else "")
    if "'" in name:
        return name.replace("'", _one_of((" ", "", "\u2019"), rng) or "")
    return None


def part_only(name: str, rng: np.random.Generator) -> str | None:
    """One element of a compound surname."""
    for mark in ("-", " "):
        if mark in name:
            return name.split(mark)[int(rng.integers(2))]
    return None


def transposed_day(day: int, rng: np.random.Generator) -> int | None:
    """Day and month exchanged, where that is a date; the same date is no error."""
    year, month, of_month = (int(p) for p in str(np.datetime64(int(day), "D")).split("-"))
    if of_month > 12:
        return None
    return int(np.datetime64(f"{year:04d}-{of_month:02d}-{month:02d}", "D").astype(int))


def wrong_digit(value: str, rng: np.random.Generator) -> str:
    """One digit misread, or two neighbouring digits exchanged (so check digits usually fail)."""
    places = [i for i, c in enumerate(value) if c.isdigit()]
    at = places[int(rng.integers(len(places)))]
    if rng.random() < 0.5 and at + 1 in places and value[at] != value[at + 1]:
        return value[:at] + value[at + 1] + value[at] + value[at + 2 :]
    digit = str((int(value[at]) + int(rng.integers(1, 10))) % 10)
    return value[:at] + digit + value[at + 1 :]


def _one_of(options: tuple[str, ...] | None, rng: np.random.Generator) -> str | None:
    return options[int(rng.integers(len(options)))] if options else None
