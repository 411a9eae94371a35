"""`linked-cyp ingest` killed in the middle: run again, it finishes what was left, once.

The kill is part of the life of the installation in ``linked_cyp_tests/whole_graph.py``, so all that
came after it ran on stores that a killed process had left behind.
"""

from __future__ import annotations

import signal

import pytest

from linked_cyp_tests.whole_graph import Killed, Story


@pytest.fixture
def killed(story: Story) -> Killed:
    assert story.killed is not None
    return story.killed


def test_it_was_killed_with_work_in_hand(killed: Killed) -> None:
    assert killed.exit_code == -signal.SIGKILL
    assert killed.left_in_work > 0


def test_nothing_was_half_done(killed: Killed) -> None:
    """Its raw tables are whole, and of its pseudonymised ones there is nothing."""
    assert killed.rows == {"identifiable.raw": 12, "warehouse.pseudonymised": 0}


def test_what_was_left_is_known_and_finished(killed: Killed) -> None:
    assert killed.unfinished == [killed.delivery_id]
    assert killed.said_again.startswith("0: ")
    assert "1 of 1 deliveries accepted" in killed.said_again
    assert killed.rows_again == {"identifiable.raw": 12, "warehouse.pseudonymised": 12}


def test_once_finished_there_is_nothing_left_to_do(killed: Killed) -> None:
    assert killed.said_at_last.strip() == "0: Nothing new in landing."


def test_the_ledger_is_complete(story: Story, killed: Killed) -> None:
    (row,) = [row for row in story.ledger if row.delivery_id == killed.delivery_id]
    assert row.status == "accepted"
    assert row.accepted + row.quarantined == row.received > 12


def test_work_files_of_the_killed_process_were_swept(story: Story) -> None:
    assert story.left_in_work == []
