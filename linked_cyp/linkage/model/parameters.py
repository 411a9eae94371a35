"""The parameters file, read once: what is fixed, what is assumed, where the thresholds are."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class LevelParameters:
    """Probability of one comparison level among true pairs (m) and among others (u)."""

    m: float
    u: float
    fixed: bool = False


@dataclass(frozen=True)
class Loss:
    """What one wrong and one missed link cost, in the same unit."""

    false_link: float
    missed_link: float


@dataclass(frozen=True)
class Parameters:
    """See ``parameters.toml``, which says where each number comes from."""

    lowest_weight: float
    nameless_margin: float
    strong_weight: float
    most_pairs_per_record: float
    largest_group: int
    rescore_share: float
    memory_share: float
    record_bytes: float
    pair_bytes: float
    em_pairs: int
    fewest_pairs: int
    prior_pairs: int
    chance_pairs: int
    prior_recall: float
    fallback_prior: float
    conflicts: list[str]  # what keeps two records apart whatever agrees
    thresholds: dict[str, float]  # by edge class
    loss: Loss
    levels: dict[str, dict[str, LevelParameters]]
    further: tuple[str, ...] = ()  # columns of person_record beyond the usual: link/further.py

    @property
    def link_weight(self) -> float:
        """The match weight from which agreeing names join persons."""
        return self.thresholds["named"]


PARAMETERS_FILE = Path(__file__).with_name("parameters.toml")


@cache
def parameters() -> Parameters:
    """The parameters of :data:`PARAMETERS_FILE`."""
    document = tomllib.loads(PARAMETERS_FILE.read_text(encoding="utf-8"))
    levels = {
        comparison: {label: LevelParameters(**values) for label, values in labels.items()}
        for comparison, labels in document["levels"].items()
    }
    sections = ("prediction", "blocking", "scoring", "training")
    values = {key: value for name in sections for key, value in document[name].items()}
    return Parameters(
        **values,
        conflicts=document["conflicts"]["refused"],
        thresholds=document["thresholds"],
        loss=Loss(**document["loss"]),
        levels=levels,
    )
