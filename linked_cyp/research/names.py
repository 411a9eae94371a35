"""Names that were not found, and those that may have been meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

MOST = 3


def near(name: str, known: Iterable[str]) -> list[str]:
    """The name that differs by a slip, or up to three: spelt somewhat so, or holding the word.

    A name without a schema is held to the tables' own names; the full ones come back.
    """
    full: Mapping[str, str] = {
        (k if "." in name else k.rpartition(".")[2]).lower(): k for k in known
    }
    asked = name.lower()
    if slip := get_close_matches(asked, full, n=1, cutoff=0.9):
        return [full[slip[0]]]
    word = asked.rpartition(".")[2].removesuffix("s")
    close = get_close_matches(asked, full, n=MOST, cutoff=0.75)
    holding = [k for k in full if len(word) > 2 and word in k.rpartition(".")[2]]
    found = dict.fromkeys(full[k] for k in [*close, *holding])
    return list(found)[:MOST]


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The message: there is none of this name, and what may have been meant."""
    found = near(name, known)
    return f"there is no {what} {name}" + (f"; did you mean {' or '.join(found)}?" if found else "")
