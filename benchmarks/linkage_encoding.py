"""Encoding alone: keyed tokens of low-cardinality fields, salted names of distinct children."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import polars as pl

from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys

ROWS = 5_000_000
PAIRS = 1_000_000
DATES = 7_300  # days of birth in twenty years
NAMES = 20_000


def measure() -> dict[str, float]:
    """Values a second; the better of two runs."""
    rng = np.random.default_rng(1)
    encoder = Encoder(Keys(rng.bytes(32)))
    days = pl.Series(rng.integers(0, DATES, ROWS, dtype=np.int32)).cast(pl.Date)
    dates = days.dt.strftime("%Y-%m-%d")
    letters = np.array([chr(c) for c in range(65, 91)])
    names = pl.Series("".join(rng.choice(letters, n)) for n in rng.integers(3, 10, NAMES))
    # Every name with its date once: nothing is gained by encoding distinct pairs only.
    pair = rng.choice(NAMES * DATES, PAIRS, replace=False)
    named = names.gather(pair // DATES)
    born = pl.Series((pair % DATES).astype(np.int32)).cast(pl.Date).dt.strftime("%Y-%m-%d")

    def salted_name() -> None:
        salt = encoder.tokens("birth_date", born)
        encoder.compose("forename_birth_date", encoder.tokens("name", named), salt)
        encoder.bloom("forename", named, salt)

    return {
        "rows of a field of 7,300 values, HMAC": ROWS
        / _fastest(lambda: encoder.tokens("birth_date", dates)),
        "distinct (name, birth date), token and salted Bloom encoding": PAIRS
        / _fastest(salted_name),
    }


def _fastest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
