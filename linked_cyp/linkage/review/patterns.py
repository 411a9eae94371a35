"""How two records agree, in words: never what they hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.identity.comparisons import NULL_LEVEL
from linked_cyp.linkage.pairs.edges import EDGE_CLASSES

MARKS = {"agrees": "✓", "nearly": "≈", "differs": "✗", "missing": "·"}
TITLES = {
    "nhs": "NHS number",
    "upn": "UPN",
    "la_child": "Local authority's child id",
    "forename": "Forename",
    "surname": "Surname",
    "birth_date": "Date of birth",
    "sex": "Sex",
    "postcode": "Postcode",
}
# What a level says where "the same", "another" and "missing" would not do.
WORDS = {
    ("la_child", NULL_LEVEL): "on one side or both, or of two authorities",
    ("forename", NULL_LEVEL): "on one side or both, or in codes that cannot be compared",
    ("surname", NULL_LEVEL): "on one side or both, or in codes that cannot be compared",
    ("forename", "twin"): "another one, under the same surname and date of birth",
    ("forename", "sound"): "sounds alike",
    ("forename", "form"): "another form (as Kate for Katherine), or a middle name",
    ("surname", "part"): "one part in common (as Smith and Smith-Jones)",
    ("surname", "sound"): "sounds alike",
    ("birth_date", "swapped"): "day and month exchanged",
    ("birth_date", "two_parts"): "two of day, month and year",
    ("birth_date", "estimated"): "one of them looks estimated, and the year fits",
    ("postcode", "sector"): "same sector: nearby",
    ("postcode", "district"): "same district: the same part of town",
}
ALIKE = {
    "dice_80": "very similar spelling",
    "dice_60": "similar spelling",
    "dice_45": "some letters alike",
}
OTHER = "Other adjustments"


@dataclass(frozen=True)
class Line:
    """One comparison of a pair."""

    title: str
    mark: str  # a key of MARKS
    words: str
    bits: float  # what it adds to the match weight
    start: float  # match weight before and after it, for the bars
    end: float

    @property
    def symbol(self) -> str:
        return MARKS[self.mark]


@dataclass(frozen=True)
class Pair:
    """A pair as a reviewer sees it."""

    number: int
    feeds: tuple[str, str]
    kind: str
    prior: float
    total: float
    lines: tuple[Line, ...]
    refused: str | None


def sheet_pairs(con: duckdb.DuckDBPyConnection, sheet_id: str) -> list[Pair]:
    """The pairs of a sheet in the order of their numbers.

    Raises:
        LinkedCypError: no such sheet, or its pairs have been scored anew by another model.
    """
    with value_free("reading the pairs of a review sheet"):
        found = con.execute(
            "SELECT v.number, v.edge_class, v.reason, v.model_id AS drawn_by, a.feed AS feed_l,"
            " b.feed AS feed_r, p.* FROM linkage.main.review_pair v"
            " JOIN linkage.main.pairs p USING (record_key_l, record_key_r)"
            " JOIN linkage.main.person_record l ON l.record_key = record_key_l"
            " JOIN linkage.main.person_record r ON r.record_key = record_key_r"
            " JOIN linkage.main.source a ON a.source = l.source"
            " JOIN linkage.main.source b ON b.source = r.source"
            " WHERE l.alternative = 0 AND r.alternative = 0 AND v.sheet_id = ? ORDER BY v.number",
            [sheet_id],
        ).pl()
    if found.is_empty() or not found["drawn_by"].equals(found["model_id"].alias("drawn_by")):
        raise LinkedCypError("this sheet's pairs are not as they were scored: draw a new sheet")
    with value_free("describing the pairs of a review sheet"):
        scale = _scale(con, found["model_id"][0])
        return [_pair(row, scale) for row in found.iter_rows(named=True)]


@dataclass(frozen=True)
class _Scale:
    """What each level of a model weighs, by comparison and number of the level."""

    prior: float
    levels: dict[str, dict[int, tuple[str, float]]]


def _scale(con: duckdb.DuckDBPyConnection, model_id: int) -> _Scale:
    text = con.execute(
        "SELECT settings FROM linkage.main.model WHERE model_id = ?", [model_id]
    ).fetchall()[0][0]
    settings = json.loads(text)
    prior = settings["probability_two_random_records_match"]
    return _Scale(
        math.log2(prior / (1 - prior)),
        {c["output_column_name"]: dict(_levels(c)) for c in settings["comparisons"]},
    )


def _levels(comparison: Mapping[str, Any]) -> Iterator[tuple[int, tuple[str, float]]]:
    """Numbered as Splink does: missing -1, the last level 0."""
    levels = comparison["comparison_levels"]
    number = sum(not level.get("is_null_level") for level in levels)
    for level in levels:
        label = level["label_for_charts"]
        if level.get("is_null_level"):
            yield -1, (label, 0.0)
        else:
            number -= 1
            yield number, (label, math.log2(level["m_probability"] / level["u_probability"]))


def _pair(row: Mapping[str, Any], scale: _Scale) -> Pair:
    lines, sofar = [], scale.prior
    for comparison, levels in scale.levels.items():
        label, bits = levels[row[f"gamma_{comparison}"]]
        mark, words = describe(comparison, label)
        title = TITLES.get(comparison, comparison.replace("_", " ").capitalize())
        lines.append(Line(title, mark, words, bits, sofar, sofar + bits))
        sofar += bits
    rest = row["match_weight"] - sofar
    if abs(rest) > 0.05:  # such as how rare a name is
        words = "how rare the values are that agree"
        lines.append(
            Line(OTHER, "agrees" if rest > 0 else "nearly", words, rest, sofar, sofar + rest)
        )
    return Pair(
        number=row["number"],
        feeds=(row["feed_l"].replace("_", " "), row["feed_r"].replace("_", " ")),
        kind=EDGE_CLASSES[row["edge_class"]],
        prior=scale.prior,
        total=row["match_weight"],
        lines=tuple(lines),
        refused=row["reason"],
    )


def describe(comparison: str, label: str) -> tuple[str, str]:
    """The mark and the words of a level."""
    words = WORDS.get((comparison, label)) or ALIKE.get(label)
    if label == NULL_LEVEL:
        return "missing", words or "on one side or both"
    if label == "differ" or (comparison, label) == ("forename", "twin"):
        return "differs", words or "another one"
    if label == "exact":
        return "agrees", words or "the same"
    return "nearly", words or label.replace("_", " ")
