"""Join records along pairs without ever joining what must stay apart.

Almost all groups of records hold no conflict, so they are found set-wise as connected components.
Only contested components are walked pair by pair, from the strongest down: a union-find in which
every group knows its NHS number, its permanent UPN, the sources it holds, and the groups it may
never meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from linked_cyp.linkage.pairs.edges import RENAMED

# Why a pair does not join its records, by number; 0: it does.
REASONS = {
    "nhs": "two NHS numbers",
    "upn": "two permanent UPNs",
    "local": "two ids of one source",
    "twin": "another first name, same surname and birth date",
    "renamed": RENAMED,
    "other_twin": "the number of one twin with the name of the other",
    "decision": "clerical decision: different people",
    "ambiguous": "no names, and no candidate leads the others",
    "names_disagree": "no names here, and the names beside it do not support it",
}
CODE = {kind: number for number, kind in enumerate(REASONS, 1)}
SINGLE = ("nhs", "upn")  # kinds of which a person has one value
CHUNK = 4_000_000  # pairs looked at together: bounds memory
NOTHING: Mapping[int, int] = {}


@dataclass(frozen=True)
class Apart:
    """Pairs of records that may not be one person, and the code of the reason."""

    a: np.ndarray
    b: np.ndarray
    code: np.ndarray

    @classmethod
    def none(cls) -> Apart:
        nothing = np.zeros(0, dtype=np.int32)
        return cls(nothing, nothing, nothing)


def join_without_conflict(
    records: int,
    pairs: pl.DataFrame,
    values: Mapping[str, np.ndarray],
    apart: Apart | None = None,
    start: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Join records along pairs in descending weight, refusing every join that conflicts.

    Args:
        records: how many records there are, numbered from 0.
        pairs: ``a``, ``b`` (record numbers) and ``weight``. Equal weights are taken in the order
            of the record numbers.
        values: for each kind of conflict one int64 per record, -1 where there is none. Two
            different ``nhs`` or ``upn`` conflict; two records of the same ``local`` source do.
        apart: pairs of records that must stay apart.
        start: clusters that exist already (each named by its smallest record) and hold no
            conflict; each record alone when omitted.

    Returns:
        The cluster of each record (its smallest record), and for each pair the code of the
        reason for which it was refused, or 0.
    """
    apart = apart or Apart.none()
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    begin = np.arange(records, dtype=np.int32) if start is None else start
    reason = direct_conflict(a, b, values)
    free = reason == 0
    component = connected_components(records, begin[a[free]], begin[b[free]])[begin]
    contested = _contested(component, begin, values, apart)
    cluster = np.where(contested[component], begin, component)
    if not contested.any():
        return cluster, reason
    walk = np.flatnonzero(free & contested[component[a]])
    walk = walk[np.lexsort((b[walk], a[walk], -pairs["weight"].to_numpy()[walk]))]
    groups = _Groups(np.flatnonzero(contested[component]), begin, values, apart)
    reason[walk] = groups.join(a[walk], b[walk])
    cluster[groups.members] = groups.clusters()
    return cluster, reason


def connected_components(records: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest record number that each record is connected with.

    Every round hooks each root to its smallest neighbour, follows the pointers to their ends and
    drops the pairs that have become one.
    """
    label = np.arange(records, dtype=np.int32)
    while len(a):
        np.minimum.at(label, np.maximum(a, b), np.minimum(a, b))
        while True:
            jumped = label[label]
            if np.array_equal(jumped, label):
                break
            label = jumped
        a, b = label[a], label[b]
        between = a != b
        a, b = a[between], b[between]
    return label


def direct_conflict(a: np.ndarray, b: np.ndarray, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """For each pair, the code of the conflict between its two records themselves, or 0."""
    reason = np.zeros(len(a), dtype=np.uint8)
    for first in range(0, len(a), CHUNK):
        part = slice(first, first + CHUNK)
        for kind, value in values.items():
            left, right = value[a[part]], value[b[part]]
            clash = (left == right) if kind == "local" else (left != right)
            clash &= (left != -1) & (right != -1) & (reason[part] == 0)
            reason[part][clash] = CODE[kind]
    return reason


def cluster_values(cluster: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The value that a cluster without conflict has, at the place of its smallest record."""
    held = np.full(len(cluster), -1, dtype=np.int64)
    known = value != -1
    held[cluster[known]] = value[known]
    return held


def _contested(
    component: np.ndarray, begin: np.ndarray, values: Mapping[str, np.ndarray], apart: Apart
) -> np.ndarray:
    """For each component number, whether it holds a conflict anywhere."""
    contested = np.zeros(len(component), dtype=bool)
    for kind, value in values.items():
        known = np.flatnonzero(value != -1)
        if kind == "local":  # two records of one source in one component
            frame = pl.DataFrame({"component": component[known], "value": value[known]})
            twice = frame.group_by("component", "value").len().filter(pl.col("len") > 1)
            contested[twice["component"].to_numpy()] = True
        else:
            last = cluster_values(component, value)
            contested[component[known[last[component[known]] != value[known]]]] = True
    inside = component[apart.a] == component[apart.b]
    inside &= begin[apart.a] != begin[apart.b]
    contested[component[apart.a[inside]]] = True
    return contested


class _Groups:
    """Groups of records of contested components, and what each of them holds."""

    def __init__(
        self,
        members: np.ndarray,
        begin: np.ndarray,
        values: Mapping[str, np.ndarray],
        apart: Apart,
    ) -> None:
        self.members = members
        self._names, self._place = np.unique(begin[members], return_inverse=True)
        self._begin = begin
        count = len(self._names)
        self._parent = list(range(count))
        self._size = np.bincount(self._place, minlength=count).tolist()
        self._single = [
            (CODE[kind], self._one_each(values[kind])) for kind in SINGLE if kind in values
        ]
        self._sources: list[set[int]] = [set() for _ in range(count)]
        if "local" in values:
            local = values["local"][members]
            for place, source in zip(
                self._place[local != -1].tolist(), local[local != -1].tolist(), strict=True
            ):
                self._sources[place].add(source)
        self._apart: dict[int, dict[int, int]] = {}
        self._keep_apart(apart)

    def join(self, a: np.ndarray, b: np.ndarray) -> list[int]:
        """Take the pairs in the order given; the reason for each that was refused, or 0."""
        left = np.searchsorted(self._names, self._begin[a]).tolist()
        right = np.searchsorted(self._names, self._begin[b]).tolist()
        return [self._join(*pair) for pair in zip(left, right, strict=True)]

    def clusters(self) -> np.ndarray:
        """The smallest record of the group of each member."""
        roots = np.array([self._root(n) for n in range(len(self._parent))], dtype=np.int64)
        smallest = np.full(len(roots), np.iinfo(np.int32).max, dtype=np.int32)
        np.minimum.at(smallest, roots, self._names)
        return smallest[roots][self._place]

    def _one_each(self, value: np.ndarray) -> list[int]:
        held = np.full(len(self._names), -1, dtype=np.int64)
        mine = value[self.members]
        held[self._place[mine != -1]] = mine[mine != -1]
        return held.tolist()

    def _keep_apart(self, apart: Apart) -> None:
        known = np.zeros(len(self._begin), dtype=bool)
        known[self.members] = True
        use = known[apart.a] & known[apart.b]
        left = np.searchsorted(self._names, self._begin[apart.a[use]]).tolist()
        right = np.searchsorted(self._names, self._begin[apart.b[use]]).tolist()
        for one, other, kind in zip(left, right, apart.code[use].tolist(), strict=True):
            if one != other:
                for x, y in ((one, other), (other, one)):
                    beside = self._apart.setdefault(x, {})
                    beside[y] = max(kind, beside.get(y, 0))  # a decision counts for more

    def _root(self, group: int) -> int:
        parent = self._parent
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    def _join(self, left: int, right: int) -> int:
        keep, gone = self._root(left), self._root(right)
        if keep == gone:
            return 0
        for code, held in self._single:
            if held[keep] != held[gone] and held[keep] != -1 and held[gone] != -1:
                return code
        if not self._sources[keep].isdisjoint(self._sources[gone]):
            return CODE["local"]
        kind = self._apart.get(keep, NOTHING).get(gone, 0)
        if kind:
            return kind
        if self._size[keep] < self._size[gone]:
            keep, gone = gone, keep
        self._parent[gone] = keep
        self._size[keep] += self._size[gone]
        for _, held in self._single:
            held[keep] = max(held[keep], held[gone])
        self._sources[keep] |= self._sources[gone]
        self._inherit(keep, gone)
        return 0

    def _inherit(self, keep: int, gone: int) -> None:
        """Whom one part may not meet, the whole may not meet."""
        for other, kind in self._apart.pop(gone, {}).items():
            beside = self._apart[other]
            del beside[gone]
            if other != keep:
                beside[keep] = max(kind, beside.get(keep, 0))
                mine = self._apart.setdefault(keep, {})
                mine[other] = max(kind, mine.get(other, 0))
