"""The table of feeds is what the contracts say."""

from __future__ import annotations

from dataclasses import replace

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp.metadata.feed_table import DOCUMENT, markdown

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")


def test_the_document_is_current() -> None:
    current = DOCUMENT.read_text(encoding="utf-8") == markdown(CONTRACTS)
    assert current, "run linked-cyp generate feeds"


def test_a_changed_contract_changes_it() -> None:
    changed = CONTRACTS | {"ssda903": replace(CONTRACTS["ssda903"], layout="unverified")}
    assert markdown(changed) != markdown(CONTRACTS)


def test_every_feed_has_a_row_and_a_section() -> None:
    text = markdown(CONTRACTS)
    for feed in CONTRACTS:
        assert text.count(f"\n| `{feed}` |") == text.count(f"\n## {feed}\n") == 1
