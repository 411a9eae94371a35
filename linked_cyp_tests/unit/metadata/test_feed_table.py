"""The table of feeds is what the contracts say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.metadata.feed_table import drifted, markdown

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")


def test_the_document_is_current() -> None:
    assert not drifted(CONTRACTS), "run python -m linked_cyp.metadata.feed_table"


def test_a_changed_contract_is_noticed(tmp_path: Path) -> None:
    document = tmp_path / "feeds.md"
    document.write_text(markdown(CONTRACTS))
    assert not drifted(CONTRACTS, document)
    changed = CONTRACTS | {"ssda903": replace(CONTRACTS["ssda903"], layout="unverified")}
    assert drifted(changed, document)


def test_every_feed_has_a_row_and_a_section() -> None:
    text = markdown(CONTRACTS)
    for feed in CONTRACTS:
        assert text.count(f"\n| `{feed}` |") == text.count(f"\n## {feed}\n") == 1
