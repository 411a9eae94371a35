"""Identifiers with correct check characters, in ranges that belong to no real person.

NHS numbers come from the 999 range kept for tests; unique pupil numbers carry the numbers of
invented local authorities and schools.
"""

from __future__ import annotations

import numpy as np

from linked_cyp.core.errors import LinkedCypError

UPN_LETTERS = np.array(list("ABCDEFGHJKLMNPQRTUVWXYZ"))


def nhs_numbers(rng: np.random.Generator, size: int) -> np.ndarray:
    """Distinct valid NHS numbers that begin with 999 (modulus 11, NHS Data Dictionary).

    Raises:
        LinkedCypError: more are wanted than the range holds (about 909,000).
    """
    # one stem in eleven has no check digit; a few spare stems make up for them
    wanted = min(1_000_000, int(size * 1.12) + 200)
    stems = 999_000_000 + rng.permutation(1_000_000)[:wanted]
    digits = stems[:, None] // 10 ** np.arange(8, -1, -1) % 10
    check = (11 - digits @ np.arange(10, 1, -1) % 11) % 11
    valid = (stems * 10 + check)[check != 10]
    # the ten-digit numbers made of one repeated digit are rejected by every checker
    valid = valid[valid != 9_999_999_999]
    if size > len(valid):
        raise LinkedCypError(f"only {len(valid)} test NHS numbers exist, {size} are needed")
    return valid[:size].astype(str).astype(object)


def upns(
    authority: np.ndarray, establishment: np.ndarray, year: np.ndarray, serial: np.ndarray
) -> np.ndarray:
    """Permanent UPNs: check letter, LA number, school number, year of allocation, serial number."""
    body = (
        authority.astype(np.int64) * 10**9
        + establishment.astype(np.int64) * 10**5
        + (year % 100) * 10**3
        + serial
    )
    digits = body[:, None] // 10 ** np.arange(11, -1, -1) % 10
    letters = UPN_LETTERS[digits @ np.arange(2, 14) % 23]
    return _join(letters, body, 12)


def temporary_upns(
    authority: np.ndarray, establishment: np.ndarray, year: np.ndarray, serial: np.ndarray
) -> np.ndarray:
    """Temporary UPNs: as permanent ones, the last character a letter (valued A = 0 to Z = 22)."""
    body = (
        authority.astype(np.int64) * 10**8
        + establishment.astype(np.int64) * 10**4
        + (year % 100) * 10**2
        + serial // 23
    )
    last = serial % 23
    digits = body[:, None] // 10 ** np.arange(10, -1, -1) % 10
    letters = UPN_LETTERS[(digits @ np.arange(2, 13) + 13 * last) % 23]
    stems = _join(letters, body, 11)
    return np.char.add(stems.astype(str), UPN_LETTERS[last]).astype(object)


def ulns(rng: np.random.Generator, size: int) -> np.ndarray:
    """Distinct unique learner numbers (ten digits, modulus 11)."""
    stems = rng.choice(800_000_000, size=int(size * 1.2) + 20, replace=False) + 100_000_000
    digits = stems[:, None] // 10 ** np.arange(8, -1, -1) % 10
    remainder = digits @ np.arange(10, 1, -1) % 11
    good = remainder != 0
    numbers = stems[good] * 10 + 10 - remainder[good]
    return numbers[:size].astype(str).astype(object)


def hexadecimal(rng: np.random.Generator, size: int, digits: int) -> np.ndarray:
    """Random lower-case hexadecimal keys, distinct with overwhelming probability."""
    values = rng.integers(0, 16**digits, size, dtype=np.int64)
    return np.char.mod(f"%0{digits}x", values).astype(object)


def _join(letters: np.ndarray, body: np.ndarray, width: int) -> np.ndarray:
    return np.char.add(letters, np.char.mod(f"%0{width}d", body)).astype(object)
