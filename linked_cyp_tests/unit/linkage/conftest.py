"""What modules of linkage tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from linked_cyp.linkage.records import writing


@pytest.fixture(scope="module")
def few_samples() -> Iterator[None]:
    """Agreement of random names is drawn at every writing; few draws do where it is not read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "SAMPLED_PAIRS", 5_000)
        yield
