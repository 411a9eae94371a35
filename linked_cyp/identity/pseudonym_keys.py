"""Keys with which suppliers pseudonymise NHS numbers themselves, as we hold them.

Some extracts carry a keyed pseudonym in place of the NHS number (HMAC-SHA-256 of the ten digits,
in hexadecimal). Whoever holds the supplier's key can make the pseudonym of every NHS number known
from other feeds and so find whose it is; nobody can without it. The supplier hands its key over
by a way of its own. It is kept beside the master key, one file for each supplier, mode 0600.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

import polars as pl
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity.keys import read_private, write_private

FEWEST_BYTES = 16  # the supplier's choice, not ours; fewer can be tried out


class PseudonymKey:
    """One supplier's key. Shows nothing of it; cannot be pickled or copied."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) < FEWEST_BYTES or len(set(key)) < FEWEST_BYTES // 2:
            raise LinkedCypError("the supplier's pseudonym key is short or follows a pattern")
        self._key = bytes(key)

    def pseudonyms(self, numbers: pl.Series) -> pl.Series:
        """The pseudonym of each NHS number (ten digits as text): 64 hexadecimal digits."""
        base = HMAC(self._key, hashes.SHA256())
        made = []
        for number in numbers:
            mac = base.copy()
            mac.update(number.encode())
            made.append(mac.finalize().hex())
        return pl.Series(numbers.name, made, dtype=pl.String)

    def __repr__(self) -> str:
        return "PseudonymKey(hidden)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise LinkedCypError("keys cannot be pickled or copied")


def load(folder: Path | None, supplier: str) -> PseudonymKey | None:
    """The key of a supplier in the folder of the master key; None where it gave none.

    Raises:
        LinkedCypError: the file is open to others, somebody else's, or not a key; its content is
            never shown.
    """
    if folder is None or not path(folder, supplier).exists():
        return None
    return read(path(folder, supplier))


def read(file: Path) -> PseudonymKey:
    """Read a key file: hexadecimal text.

    Raises:
        LinkedCypError: as :func:`load`.
    """
    try:
        return PseudonymKey(bytes.fromhex(read_private(file).decode("ascii").strip()))
    except ValueError:
        pass
    raise LinkedCypError(f"{file} is not a pseudonym key: hexadecimal text is wanted")


def take_over(file: Path, folder: Path, supplier: str) -> Path:
    """Copy a key that a supplier handed over to where linkage looks for it; never over another.

    Raises:
        LinkedCypError: the file is not a key, or there is one already.
    """
    read(file)
    write_private(path(folder, supplier), read_private(file))
    return path(folder, supplier)


def take_over_all(handed: Path, folder: Path) -> None:
    """Take over the keys in a folder that are named as here, but those that are here already."""
    for file in sorted(handed.glob("nhs_number_hash.*.key")):
        supplier = file.name.split(".")[1]
        if not path(folder, supplier).exists():
            take_over(file, folder, supplier)


def path(folder: Path, supplier: str) -> Path:
    """Where the key of a supplier lies.

    Raises:
        LinkedCypError: the supplier is not written as suppliers are.
    """
    if not re.fullmatch("[a-z0-9_]+", supplier):
        raise LinkedCypError("a supplier is written in lower case letters, digits and underscores")
    return folder / f"nhs_number_hash.{supplier}.key"
