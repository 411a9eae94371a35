"""Keyed encodings of names, dates and places: what a person record holds instead of them.

*Hardened* encodings (the default) never let a name stand alone. Every name token is a composite
(name with date of birth, with postcode, with the other name) and every Bloom encoding is salted by
the full date of birth and the sound of the other name, so that frequencies of names and known
plaintexts of other children say next to nothing about a record. (The date of birth alone is shared
by 1,600 children in England and Wales: enough to read nearly every first name from the bits, see
``docs/linkage_attacks.md``.) *Plain* encodings leave the salt out: they compare names across
different dates of birth, and fall to frequency and known-plaintext attack. They are meant only for
a linkage enclave that nobody else can enter, and for measuring what the hardening costs.

How a composite is made: each part (name, date, postcode) becomes a 63-bit AES-256-CMAC token under
its own key; two parts together are one 16-byte block, and AES-256 under a third key is the
pseudo-random function of that block. The tokens of the parts are never stored. AES over one long
buffer is what makes millions of tokens and composites per second possible.

Source: NIST SP 800-38B (CMAC). Nothing here is ever decrypted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from linked_cyp.identity.keys import Keys

BITS = 128  # two BIGINT lanes
HASHES = 6  # three in each lane; more over-fills 128 bits and costs precision
MISSING = np.int64(-1)  # in arrays of tokens; tokens are never negative
_MASK_63 = np.uint64(0x7FFF_FFFF_FFFF_FFFF)
_GRAMS_PER_CHUNK = 200_000  # small enough for the processor's caches
_BLOCK = 16  # bytes


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
        """63-bit AES-256-CMAC tokens of texts as int64, :data:`MISSING` for null.

        Tokens of different purposes cannot be joined. About ten million texts a second while
        they have fewer than 16 bytes of ASCII.
        """
        text = values.rename("text")
        size = text.str.len_bytes()
        short = (size < _BLOCK) & (text.str.len_chars() == size)
        tokens = np.full(len(text), MISSING)
        known = short.fill_null(False).to_numpy()
        if known.any():
            tokens[known] = self._short_tokens(purpose, text.filter(short), size.filter(short))
        for row in np.flatnonzero((~short).fill_null(False).to_numpy()).tolist():
            mac = CMAC(algorithms.AES(self._key(purpose)))
            mac.update(text[row].encode())
            head = np.frombuffer(mac.finalize(), dtype="<u8")[:1]
            tokens[row] = (head & _MASK_63).view(np.int64)[0]
        return tokens

    def _short_tokens(self, purpose: str, text: pl.Series, size: pl.Series) -> np.ndarray:
        """CMAC of texts that fit into one block with its padding: one AES pass over all."""
        padded = text.str.pad_end(_BLOCK, "\0").cast(pl.Binary)
        halves = [
            padded.bin.slice(start, 8).bin.reinterpret(dtype=pl.UInt64).to_numpy().copy()
            for start in (0, 8)
        ]
        length = size.to_numpy().astype(np.uint64)
        end = np.uint64(0x80) << (8 * (length % 8))  # the padding's first bit follows the text
        subkey = _last_block_subkey(self._key(purpose))
        for half, (here, key) in zip(halves, ((length < 8, 0), (length >= 8, 1)), strict=True):
            half ^= np.where(here, end, 0) ^ subkey[key]
        tokens = self._blocks(purpose, *halves)[:, 0] & _MASK_63
        return tokens.view(np.int64)

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
            salt: token that few records share; rows without one are not encoded when hardened.
        """
        if not self.hardened:
            salt = np.zeros_like(salt)
        vocabulary, grams, starts, codes = _grams_of_distinct(names)
        gram_tokens = self.tokens(f"gram.{field}", vocabulary)[grams]
        lanes = np.zeros((2, len(names)), dtype=np.uint64)
        rows = np.flatnonzero((codes >= 0) & (salt != MISSING))
        lengths = np.diff(starts)[codes[rows]]
        for chunk in _chunks(lengths):
            chosen, sizes = rows[chunk], lengths[chunk]
            offsets = np.cumsum(sizes) - sizes
            # Each row's bigrams follow those of the row before it.
            place = np.arange(sizes.sum()) + np.repeat(starts[codes[chosen]] - offsets, sizes)
            blocks = self._blocks(
                f"bloom.{field}", gram_tokens[place], np.repeat(salt[chosen], sizes)
            )
            for lane, set_bits in enumerate(_set_bits(blocks[:, 0])):
                lanes[lane, chosen] = np.bitwise_or.reduceat(set_bits, offsets)
        bits = np.bitwise_count(lanes).astype(np.int16).sum(axis=0, dtype=np.int16)
        signed = lanes.view(np.int64)
        return Bloom(signed[0], signed[1], bits)

    def _key(self, purpose: str) -> bytes:
        return self._keys.derive(f"linkage:{purpose}")

    def _blocks(self, purpose: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """AES-256 of each (left, right): shape (n, 2), uint64."""
        plain = np.empty((len(left), 2), dtype="<u8")
        plain[:, 0], plain[:, 1] = left.view(np.uint64), right.view(np.uint64)
        # ECB on purpose: a pseudo-random function of single blocks, never decrypted.
        cipher = Cipher(algorithms.AES(self._key(purpose)), modes.ECB())
        return np.frombuffer(cipher.encryptor().update(plain.tobytes()), "<u8").reshape(-1, 2)


def _last_block_subkey(key: bytes) -> np.ndarray:
    """K2 of NIST SP 800-38B, for a last block that was padded: two uint64."""
    zero = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(bytes(_BLOCK))
    number = int.from_bytes(zero, "big")
    for _ in range(2):
        number = (number << 1) ^ (0x87 if number >> 127 else 0)
        number &= (1 << 128) - 1
    return np.frombuffer(number.to_bytes(_BLOCK, "big"), dtype="<u8")


def _set_bits(blocks: np.ndarray) -> list[np.ndarray]:
    """For each lane the three bits that a pseudo-random block of 64 bits sets in it."""
    one, low = np.uint64(1), np.uint64(63)
    lanes = []
    for first in (0, 24):
        bits = np.zeros_like(blocks)
        for shift in (first, first + 8, first + 16):
            bits |= one << ((blocks >> np.uint64(shift)) & low)
        lanes.append(bits)
    return lanes


def _grams_of_distinct(
    names: pl.Series,
) -> tuple[pl.Series, np.ndarray, np.ndarray, np.ndarray]:
    """Bigrams of each distinct name, flattened.

    Returns:
        vocabulary: the distinct bigrams; grams: their numbers, name after name;
        starts: where each name's bigrams start (one more than names);
        codes: number of each row's name, -1 for null or empty.
    """
    text = names.rename("name").set(names.str.len_bytes() == 0, None)
    distinct = text.drop_nulls().unique().to_frame().with_row_index("code")
    codes = (
        text.to_frame()
        .join(distinct, on="name", how="left", maintain_order="left")["code"]
        .cast(pl.Int64)
        .fill_null(-1)
    )
    padded = "_" + distinct["name"] + "_"
    letters = np.frombuffer("".join(padded.to_list()).encode("latin-1", "replace"), dtype=np.uint8)
    of_name = np.repeat(np.arange(len(padded), dtype=np.int64), padded.str.len_chars().to_numpy())
    gram = letters[:-1].astype(np.int64) << 8 | letters[1:]
    inside = of_name[:-1] == of_name[1:]
    each_once = np.unique((of_name[:-1] << 16 | gram)[inside])
    starts = np.searchsorted(each_once >> 16, np.arange(len(padded) + 1))
    different, grams = np.unique(each_once & 0xFFFF, return_inverse=True)
    vocabulary = pl.Series([chr(g >> 8) + chr(g & 0xFF) for g in different], dtype=pl.String)
    return vocabulary, grams, starts, codes.to_numpy()


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
