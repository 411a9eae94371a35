"""Names of people: one spelling, parts, and a phonetic key, for comparing records.

Rules are written as in :mod:`linked_cyp.identity.identifiers`: functions from a Polars expression
to a
Polars expression, written once, for use in lazy frames.

A standardised name has the letters A to Z and single spaces. What is written in another script
becomes null rather than something wrong. Nothing here is ever shown or kept: names exist only
inside the identifiable store and in memory while linkage encodes them.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import jellyfish
import polars as pl

# Letters that Unicode does not decompose into a base letter and an accent.
_LETTERS = {
    "ß": "SS",
    "Æ": "AE",
    "Œ": "OE",
    "Ø": "O",
    "Đ": "D",
    "Ð": "D",
    "Þ": "TH",
    "Ł": "L",
    "Ħ": "H",
    "Ŋ": "N",
    "Ə": "A",
    "Ɔ": "O",
    "Ɛ": "E",
    "Ɓ": "B",
    "Ɗ": "D",
    "Ƙ": "K",
    "Ƴ": "Y",
    "Ɲ": "N",
    "Ŧ": "T",
    "\u0130": "I",
}
_APOSTROPHES = "['`\u00b4\u2018\u2019\u02bb\u02bc\u02b9\u2032\uff07]"
_QUOTE = '["\u201c\u201d]'
_TITLES = "(MR|MRS|MS|MISS|MX|DR|MASTER|MSTR|REV|PROF)"
_SUFFIXES = "(JR|JNR|SNR|II|III|IV)"
# Prefixes that people join or not: Mc Donald, Mac Donald, O Brien, D Souza, Fitz Gerald.
_JOINED = "^(MC|MAC|O|D|FITZ) ([A-Z]{3,})"
# What follows is another name of the same person.
_ALSO = "(ALSO KNOWN AS|KNOWN AS|FORMERLY|PREVIOUSLY|PREFERS|AKA|N[E\u00c9]E)"
# Particles that people leave out or in: they say nothing about who somebody is.
_PARTICLES = (
    *("AL", "EL", "UL", "UR", "BIN", "BINT", "IBN", "DE", "DEL", "DELLA", "DI", "DA", "DO", "DOS"),
    *("DAS", "DU", "LA", "LE", "VAN", "VON", "DER", "DEN", "TER", "TEN", "ZU", "AND"),
)
# In brackets, in double quotes, or after words that say so; not at the very beginning.
_ASIDE = (
    rf"(?i)\([^)]*\)?|{_QUOTE}[^\"\u201c\u201d]*{_QUOTE}?"
    rf"|[\s,]{_ALSO}\b.*$"
)
# What forms hold when nobody knew the name. "NA" and "CHILD" are surnames, so not among them.
_NO_NAME = (
    r"^(UNKNOWN|UNKOWN|NOT KNOWN|NOT STATED|NOT GIVEN|NOT PROVIDED|NOT RECORDED|NOT APPLICABLE"
    r"|NO (FIRST |LAST |FORE|SUR)?NAME( GIVEN)?|UNNAMED|NOT (YET )?NAMED"
    r"|(TO BE|AWAITING) NAM(E|ED|ING)|NK|N K|N A|FNU|LNU|NULL|NONE|NAN|TBC|TBA|T B C"
    r"|TO BE CONFIRMED|ANON|ANONYMOUS|WITHHELD|REDACTED|CONFIDENTIAL|DUMMY|TEST"
    r"|TEST PATIENT|PATIENT TEST|X+|Z+|(UNKNOWN )+UNKNOWN)$"
)
_NO_FORENAME = (
    r"^((UNBORN|BABY|INFANT|NEWBORN|B O)( .*)?|CHILD|BOY|GIRL|MALE|FEMALE|(TWIN|TRIPLET)( .*)?"
    r"|(BOY|GIRL|MALE|FEMALE) (ONE|TWO|THREE|I|II|III|A|B|C|TWIN.*|INFANT|BABY|CHILD|OF .*))$"
)


def standardise_name(values: pl.Expr) -> pl.Expr:
    """A name in the letters A to Z: accents folded, titles dropped, hyphens as spaces.

    Apostrophes vanish (O'Brien is OBRIEN), as does what stands in brackets or after "known as"
    (see :func:`also_known_as`); any other sign separates parts. Null when nothing is left or the
    text says that the name is not known.
    """
    return _letters(values.cast(pl.String).str.replace_all(_ASIDE, ""))


def also_known_as(values: pl.Expr) -> pl.Expr:
    """The other name that a text gives in brackets or after "known as", standardised; else null.

    ``Alexander (Sasha)``, ``Alexander "Sasha"``, ``Smith née Jones``.
    """
    text = values.cast(pl.String)
    inside = text.str.extract(_ASIDE, 0).str.replace(f"(?i)^[^\\p{{L}}]*({_ALSO}\\b)?", "")
    return _letters(inside)


def _letters(values: pl.Expr) -> pl.Expr:
    folded = (
        values.str.replace_all(_APOSTROPHES, "")
        .str.normalize("NFKD")
        .str.to_uppercase()
        .str.replace_many(_LETTERS)
        .str.replace_all(r"\p{M}", "")
    )
    spaced = folded.str.replace_all("[^A-Z]+", " ").str.strip_chars()
    untitled = spaced.str.replace(f"^({_TITLES} )+", "").str.replace(f"( {_SUFFIXES})+$", "")
    # A letter of another script has become a space: better no name than half of one.
    foreign = folded.str.contains(r"[\p{L}--[A-Z]]")
    return pl.when(~foreign & ~untitled.str.contains(_NO_NAME) & (untitled != "")).then(untitled)


def standardise_forename(values: pl.Expr) -> pl.Expr:
    """A forename (:func:`standardise_name`); BABY, TWIN ONE, INFANT OF ... are null."""
    name = standardise_name(values)
    return pl.when(~name.str.contains(_NO_FORENAME)).then(name)


def standardise_surname(values: pl.Expr) -> pl.Expr:
    """A surname (:func:`standardise_name`) with its prefix joined: MC DONALD is MCDONALD."""
    name = standardise_name(values).str.replace(_JOINED, "$1$2")
    return pl.when(~name.str.contains(r"^(BABY|UNBORN|INFANT)$")).then(name)


def compact_name(names: pl.Expr) -> pl.Expr:
    """A standardised name without spaces: ABDUL RAHMAN and ABDULRAHMAN are one name."""
    return names.str.replace_all(" ", "", literal=True)


def first_part(names: pl.Expr) -> pl.Expr:
    """The first part of a standardised name: MARY of MARY JANE."""
    return names.str.extract("^([A-Z]+)", 1)


def formal_name(names: pl.Expr, place: int) -> pl.Expr:
    """What the first part of a standardised forename stands for: ELIZABETH for LIZ.

    A familiar form may stand for several names: ``place`` 1 gives the commoner one (or the name
    itself, where it stands for nothing else), 2 another or null. Variant spellings and the forms
    of other languages count as familiar forms. The table is ``nicknames.csv``.
    """
    first = first_part(names)
    formal = first.replace_strict(_formal_names(place), default=None, return_dtype=pl.String)
    return pl.coalesce(formal, first) if place == 1 else formal


@cache
def _formal_names(place: int) -> dict[str, str]:
    """Formal name by form: a formal name stands for itself first, then for the commoner ones.

    How common a formal name is shows in how many forms it has.
    """
    forms: dict[str, list[tuple[int, str]]] = {}
    with Path(__file__).with_name("nicknames.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            familiar = row["familiar"].split()
            forms.setdefault(row["formal"], []).append((-1_000, row["formal"]))
            for form in familiar:
                forms.setdefault(form, []).append((-len(familiar), row["formal"]))
    chosen = {form: [name for _, name in sorted(names)] for form, names in forms.items()}
    return {form: names[place - 1] for form, names in chosen.items() if len(names) >= place}


@cache
def familiar_names() -> frozenset[str]:
    """Every forename of ``nicknames.csv``, formal or familiar, in capitals."""
    return frozenset(_formal_names(1))


def name_parts(names: pl.Expr) -> pl.Expr:
    """The parts of a standardised name that tell people apart, in order, each once.

    Particles (DE, VAN, BIN ...) and initials are left out unless nothing else is there.
    """
    parts = names.str.split(" ").list.unique(maintain_order=True)
    telling = parts.list.filter(
        ~pl.element().is_in(_PARTICLES) & (pl.element().str.len_bytes() > 1)
    )
    return pl.when(telling.list.len() > 0).then(telling).otherwise(parts)


def phonetic(names: pl.Expr) -> pl.Expr:
    """How a standardised name sounds: Metaphone (Philips 1990) of its letters, without later Ys.

    Without them AISHA, AYESHA and AYSHA sound the same. Each distinct name is encoded once.
    """
    return compact_name(names).map_batches(
        _phonetic_series, return_dtype=pl.String, is_elementwise=True
    )


def _phonetic_series(names: pl.Series) -> pl.Series:
    distinct = names.drop_nulls().unique()
    keys = pl.Series([_sound(name) for name in distinct.to_list()], dtype=pl.String)
    return names.replace_strict(distinct, keys, default=None, return_dtype=pl.String)


def _sound(name: str) -> str | None:
    key = jellyfish.metaphone(name)
    return (key[:1] + key[1:].replace("Y", "")) or None
