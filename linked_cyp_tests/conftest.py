"""What all tests share: one installation in which the whole graph has run."""

from __future__ import annotations

import pytest

from linked_cyp_tests import whole_graph

# The longest piece of work goes first, so that the other worker has everything else to do
# meanwhile; whoever else needs what it makes comes last.
FIRST = "test_whole_graph.py"
LAST = ("test_canary.py", "test_kill_in_run.py", "test_release_gate.py")


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> whole_graph.Story:
    """An installation after ingest, refresh, withdrawal and roll-back. Read it only."""
    return whole_graph.shared(tmp_path_factory)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # pytest-xdist would put the longest file first


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return path.endswith(LAST) - path.endswith(FIRST)

    items.sort(key=place)
