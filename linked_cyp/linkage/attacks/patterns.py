"""Attack on the bits: which bigram sets which positions, learnt while names are guessed.

The records' encodings form a graph (how many bits two of them share), and so do the names that the
attacker knows of, once encoded under a key of the attacker's own. Nodes are compared by how often
they occur, how many bits they have, and how they are placed in their graph. From these first,
uncertain guesses the positions of each bigram are learnt (bits that names with it always have),
names are guessed again from the positions, and so on. Known plaintexts are guesses that are
certain. This is graph matching followed by pattern mining (Vidanage, Christen, Ranbaduge and
Schnell 2020, doi 10.1145/3340531.3411931; Christen et al. 2018, 10.1007/978-3-319-93040-4_49), with
the two steps repeated as expectation maximisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.identity.encodings import BITS, HASHES, Encoder, bigrams
from linked_cyp.identity.keys import Keys

TEMPERATURES = (4, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1)  # guesses are held less and less loosely
MOST_NODES = 1000  # learnt from; all are decoded
OWN_KEYS = 3
_QUANTILES = (0.5, 0.9, 0.98)


@dataclass(frozen=True)
class Names:
    """The names that the attacker knows of: how often by sex, their bigrams, and their graph."""

    values: np.ndarray  # texts
    counts: np.ndarray  # (names, sexes)
    grams: Any  # (names, bigrams), 0 or 1, sparse
    features: np.ndarray  # (names, features), mean under keys of the attacker's own
    spread: np.ndarray  # standard deviation of each feature, from key to key


@dataclass(frozen=True)
class Nodes:
    """Distinct encodings."""

    bits: np.ndarray  # (nodes, BITS), 0 or 1
    counts: np.ndarray  # (nodes, sexes)
    of_row: np.ndarray  # node of each record


def list_names(names: pl.Series, sex: pl.Series, field: str, seed: int) -> Names:
    """Frequencies of names by sex, and how the names resemble one another once encoded."""
    from scipy.sparse import csr_array

    values, place = np.unique(names.to_numpy().astype(str), return_inverse=True)
    present = [bigrams(name) for name in values.tolist()]
    _, columns = np.unique([g for of_name in present for g in of_name], return_inverse=True)
    rows = np.repeat(np.arange(len(values)), [len(of_name) for of_name in present])
    grams = csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)))
    counts = by_sex(place, sex, len(values))
    draws = []
    for key in range(OWN_KEYS):
        own = Encoder(Keys(np.random.default_rng([seed, key]).bytes(32)), hardened=False)
        bloom = own.bloom(field, pl.Series(values.tolist()), np.zeros(len(values), np.int64))
        bits = unpack(np.stack([bloom.lane_0, bloom.lane_1], axis=1))
        draws.append(_features(bits, counts.sum(axis=1)))
    # Wider than from key to key: the records are a sample of the population.
    spread = np.std(draws, axis=0, ddof=1).mean(axis=0) * 1.5 + 1e-3
    return Names(values, counts, grams, np.mean(draws, axis=0), spread)


def list_nodes(lanes: np.ndarray, sex: pl.Series) -> Nodes:
    """Distinct encodings of records: ``lanes`` is (records, 2), int64."""
    distinct, of_row = np.unique(lanes, axis=0, return_inverse=True)
    of_row = of_row.reshape(-1)
    return Nodes(unpack(distinct), by_sex(of_row, sex, len(distinct)), of_row)


def unpack(lanes: np.ndarray) -> np.ndarray:
    """Bits of (n, 2) lanes as float32, (n, BITS)."""
    octets = np.ascontiguousarray(lanes.astype("<i8")).view(np.uint8).reshape(len(lanes), -1)
    return np.unpackbits(octets, axis=1).astype(np.float32)


def by_sex(place: np.ndarray, sex: pl.Series, size: int) -> np.ndarray:
    counts = np.zeros((size, 3), dtype=np.float32)
    np.add.at(counts, (place, sex.fill_null(0).to_numpy()), 1)
    return counts


def decode(nodes: Nodes, names: Names, known: np.ndarray) -> np.ndarray:
    """The name guessed for each node, as a number into ``names.values``.

    Args:
        known: number of the true name of each node that is known, -1 for others.
    """
    order = np.argsort(-nodes.counts.sum(axis=1) - 1e9 * (known >= 0), kind="stable")
    learnt = order[:MOST_NODES]
    bits = nodes.bits[learnt]
    prior = _first_guess(nodes, names)
    certain = np.flatnonzero(known[learnt] >= 0)
    score, best = prior[learnt], np.empty(0)
    for temperature in TEMPERATURES:
        belief = _softmax(score, temperature)
        belief[certain] = 0
        belief[certain, known[learnt[certain]]] = 1
        positions = _positions(belief, names.grams, bits)
        score = prior[learnt] + _fit(bits, names.grams, positions)
        if np.array_equal(best, best := score.argmax(axis=1)):
            break
    guess = (prior + _fit(nodes.bits, names.grams, positions)).argmax(axis=1)
    return np.where(known >= 0, known, guess)


def _first_guess(nodes: Nodes, names: Names) -> np.ndarray:
    """Log-likelihood of each name for each node before any bit is read: (nodes, names)."""
    alike = likelihood_of_counts(nodes.counts, names.counts)
    here = _features(nodes.bits, nodes.counts.sum(axis=1))
    for n, spread in enumerate(names.spread):
        alike -= 0.5 * ((here[:, n, None] - names.features[None, :, n]) / spread) ** 2
    return alike.astype(np.float32)


def likelihood_of_counts(counts: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Log-likelihood (Poisson) that a name occurs as often as a node does: (nodes, names)."""
    rates = known / known.sum() * counts.sum() + 1e-3
    return counts @ np.log(rates).T - rates.sum(axis=1)


def _features(bits: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Number of bits of each node, and how much it shares with the others, (nodes, features)."""
    size = bits.sum(axis=1)
    order = np.argsort(-weight, kind="stable")[:MOST_NODES]
    shared = 2 * (bits @ bits[order].T) / np.maximum(size[:, None] + size[order], 1)
    share = weight[order] / weight[order].sum()
    mean = shared @ share
    sd = np.sqrt(np.maximum((shared**2) @ share - mean**2, 0))
    sorted_ = np.argsort(shared, axis=1)
    rising = np.cumsum(share[sorted_], axis=1)
    ranks = [np.argmax(rising >= q, axis=1) for q in _QUANTILES]
    rows = np.arange(len(bits))
    quantiles = [shared[rows, sorted_[rows, r]] for r in ranks]
    return np.stack([size, mean, sd, *quantiles], axis=1)


def _softmax(score: np.ndarray, temperature: float) -> np.ndarray:
    scaled = score / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    return scaled / scaled.sum(axis=1, keepdims=True)


def _positions(belief: np.ndarray, grams: Any, bits: np.ndarray) -> np.ndarray:
    """Probability that a bigram sets a bit, (bigrams, BITS)."""
    present = belief @ grams
    seen = present.sum(axis=0)[:, None]
    usual = bits.mean(axis=0)
    share = (present.T @ bits + usual) / (seen + 1)
    # A bigram has as many positions as there are hash functions: those its names have most often.
    nth = np.partition(share, BITS - HASHES, axis=1)[:, BITS - HASHES, None]
    surplus = np.clip((share - usual) / (1 - usual + 1e-6), 0, 0.98)
    return np.where(share >= nth, surplus, 0.0) + 0.01


def _fit(bits: np.ndarray, grams: Any, positions: np.ndarray) -> np.ndarray:
    """Log-likelihood of each encoding under each name, (nodes, names)."""
    unset = np.clip(grams @ np.log1p(-np.clip(positions, 0, 0.985)), -12, -0.005)
    is_set = np.log1p(-np.exp(unset))
    return bits @ (is_set - unset).T + unset.sum(axis=1)
