"""Keyed encodings of names, dates and places: what a person record holds instead of them.

*Hardened* encodings (the default) never let a name stand alone. Every name token is a composite
(name with date of birth, with postcode, with the other name) and every Bloom encoding is salted by
the full date of birth, so that frequencies of names and known plaintexts of other children say
next to nothing about a record. *Plain* encodings leave the salt out: they compare names across
different dates of birth, and fall to frequency and known-plaintext attack. They are meant only for
a linkage enclave that nobody else can enter, and for measuring what the hardening costs.

How a composite is made: each low-cardinality part (distinct names, dates, postcodes) becomes a
63-bit HMAC-SHA-256 token under its own key; two parts together are one 16-byte block, and AES-256
under a third key is the pseudo-random function of that block. The tokens of the parts are never
stored. AES over one long buffer is what makes millions of composites per second possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from linked_cyp.keys import Keys

BITS = 128  # two BIGINT lanes
HASHES = 6  # more over-fills 128 bits and costs precision
MISSING = np.int64(-1)  # in arrays of tokens; tokens are never negative
_MASK_63 = np.uint64(0x7FFF_FFFF_FFFF_FFFF)
_GRAMS_PER_CHUNK = 1_000_000

# Bit position -> contribution to each lane.
_POSITIONS = np.arange(BITS)
_LANE_0 = np.where(_POSITIONS < 64, np.uint64(1) << (_POSITIONS % 64).astype(np.uint64), 0)
_LANE_1 = np.where(_POSITIONS >= 64, np.uint64(1) << (_POSITIONS % 64).astype(np.uint64), 0)
_LANES = np.stack([_LANE_0, _LANE_1]).astype(np.uint64)


@dataclass(frozen=True)
class Bloom:
    """Salted Bloom encodings: two int64 lanes and their population count (0 where missing).

    The lanes are signed because a BIGINT is; count their bits as uint64 (numpy counts the bits of
    a negative number's absolute value).
    """

    lane_0: np.ndarray
    lane_1: np.ndarray
    bits: np.ndarray


class Encoder:
    """Encodes standardised values under one master key.

    Args:
        keys: the master key's derivations.
        hardened: salt names by date of birth or combine them (see the module's docstring).
    """

    def __init__(self, keys: Keys, *, hardened: bool = True) -> None:
        self._keys = keys
        self.hardened = hardened

    def unsalted(self) -> Encoder:
        """The same keys without salt, for numbers about names that are counted in memory."""
        return Encoder(self._keys, hardened=False)

    def tokens(self, purpose: str, values: pl.Series) -> np.ndarray:
        """63-bit HMAC tokens of texts as int64, :data:`MISSING` for null; for ``purpose`` only."""
        return self._keys.tokens(f"linkage:{purpose}", values).fill_null(int(MISSING)).to_numpy()

    def compose(self, purpose: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """One token for each pair of tokens, missing where either is missing."""
        composed = self._blocks(purpose, left, right)[:, 0] & _MASK_63
        missing = (left == MISSING) | (right == MISSING)
        return np.where(missing, MISSING, composed.view(np.int64))

    def salted(self, purpose: str, values: np.ndarray, salt: np.ndarray) -> np.ndarray:
        """Composite of a value and its salt; of the value alone when encodings are plain."""
        return self.compose(purpose, values, salt if self.hardened else np.zeros_like(values))

    def bloom(self, field: str, names: pl.Series, salt: np.ndarray) -> Bloom:
        """Bloom encodings of names: padded bigrams, six keyed positions each, salted per row.

        Args:
            field: ``forename`` or ``surname``; encodings of different fields cannot be compared.
            names: standardised names, null where missing.
            salt: token of the date of birth; rows without one are not encoded when hardened.
        """
        if not self.hardened:
            salt = np.zeros_like(salt)
        vocabulary, grams, starts, codes = _grams_of_distinct(names)
        gram_tokens = self.tokens(f"gram.{field}", vocabulary)
        lanes = np.zeros((2, len(names)), dtype=np.uint64)
        rows = np.flatnonzero((codes >= 0) & (salt != MISSING))
        lengths = np.diff(starts)[codes[rows]]
        for chunk in _chunks(lengths):
            chosen, sizes = rows[chunk], lengths[chunk]
            offsets = np.cumsum(sizes) - sizes
            within = np.arange(sizes.sum()) - np.repeat(offsets, sizes)
            gram = grams[np.repeat(starts[codes[chosen]], sizes) + within]
            blocks = self._blocks(
                f"bloom.{field}", gram_tokens[gram], np.repeat(salt[chosen], sizes)
            )
            positions = blocks.view(np.uint8).reshape(-1, 16)[:, :HASHES] % BITS
            for lane in (0, 1):
                set_bits = np.bitwise_or.reduce(_LANES[lane][positions], axis=1)
                lanes[lane, chosen] = np.bitwise_or.reduceat(set_bits, offsets)
        bits = np.bitwise_count(lanes).astype(np.int16).sum(axis=0, dtype=np.int16)
        signed = lanes.view(np.int64)
        return Bloom(signed[0], signed[1], bits)

    def _blocks(self, purpose: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """AES-256 of each (left, right): shape (n, 2), uint64."""
        plain = np.empty((len(left), 2), dtype="<i8")
        plain[:, 0], plain[:, 1] = left, right
        # ECB on purpose: a pseudo-random function of single blocks, never decrypted.
        cipher = Cipher(algorithms.AES(self._keys.derive(f"linkage:{purpose}")), modes.ECB())
        return np.frombuffer(cipher.encryptor().update(plain.tobytes()), dtype="<u8").reshape(-1, 2)


def _grams_of_distinct(
    names: pl.Series,
) -> tuple[pl.Series, np.ndarray, np.ndarray, np.ndarray]:
    """Bigrams of each distinct name, flattened.

    Returns:
        vocabulary: the distinct bigrams; grams: their numbers, name after name;
        starts: where each name's bigrams start (one more than names);
        codes: number of each row's name, -1 for null or empty.
    """
    frame = pl.DataFrame({"name": names}).with_row_index("row")
    known = frame.filter(pl.col("name").str.len_chars() > 0)
    uniques = known["name"].unique().sort()
    codes = np.full(len(names), -1, dtype=np.int64)
    if len(uniques):
        lookup = pl.DataFrame({"name": uniques}).with_row_index("code")
        joined = known.join(lookup, on="name", how="left", maintain_order="left")
        codes[joined["row"].to_numpy()] = joined["code"].to_numpy()
    lists = [bigrams(name) for name in uniques.to_list()]
    starts = np.concatenate([[0], np.cumsum([len(x) for x in lists])]).astype(np.int64)
    flat = pl.Series([g for x in lists for g in x], dtype=pl.String)
    vocabulary = flat.unique().sort()
    numbers = np.searchsorted(vocabulary.to_numpy().astype(str), flat.to_numpy().astype(str))
    return vocabulary, numbers, starts, codes


def bigrams(name: str) -> list[str]:
    """Distinct padded bigrams: ``AMY`` gives ``_A AM MY Y_``."""
    padded = f"_{name}_"
    return sorted({padded[i : i + 2] for i in range(len(padded) - 1)})


def _chunks(lengths: np.ndarray) -> list[slice]:
    """Slices of rows whose bigrams together stay below the chunk size (memory is bounded)."""
    if not len(lengths):
        return []
    groups = np.cumsum(lengths) // _GRAMS_PER_CHUNK
    edges = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), len(lengths)]
    return [slice(a, b) for a, b in pairwise(edges)]
