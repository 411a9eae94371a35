"""``docs/feeds.md``: every feed in a table, generated from the contracts.

``python -m linked_cyp.metadata.feed_table`` writes it; with ``--check`` it writes nothing and
exits non-zero
when the file is not what the contracts say.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from linked_cyp.contracts.model import DOMAINS, Contract, load_contracts
from linked_cyp.core.settings import PROJECT_ROOT, Settings

DOCUMENT = PROJECT_ROOT / "docs" / "feeds.md"
# What a record can be linked by, surest first; former and alternative values count with their own.
LINKS_BY = {
    "nhs_number": "NHS number",
    "nhs_number_hash": "pseudonym of the NHS number",
    "upn": "UPN",
    "la_child_id": "authority's own number",
    "surname": "names",
    "birth_date": "birth date",
    "birth_year": "birth month",
    "postcode": "postcode",
}
HEADER = """<!-- Generated from data_contracts by `python -m linked_cyp.metadata.feed_table`:
change the
contract, not this file. -->

# Feeds

What each feed is, how its records find their person, which [opt-outs](opt_outs.md) take people out
of it, and how sure we are that its files look as its contract says.

| feed | what | domain | supplier | delivered | tables | links by | opt-outs | layout |
|---|---|---|---|---|---|---|---|---|
"""


def markdown(contracts: Mapping[str, Contract]) -> str:
    """The document; the same contracts always give the same text."""
    ordered = sorted(contracts.values(), key=lambda c: (DOMAINS.index(c.domain), c.feed))
    rows = "\n".join(f"| {' | '.join(_row(contract))} |" for contract in ordered)
    return f"{HEADER}{rows}\n\n" + "\n".join(_more(contract) for contract in ordered)


def drifted(contracts: Mapping[str, Contract], document: Path = DOCUMENT) -> bool:
    """Whether the document differs from what the contracts say."""
    return not document.exists() or document.read_text(encoding="utf-8") != markdown(contracts)


def main(arguments: list[str]) -> int:
    contracts = load_contracts(Settings.from_environment().contracts)
    if "--check" in arguments:
        if drifted(contracts):
            print("docs/feeds.md is stale: run python -m linked_cyp.metadata.feed_table")
            return 1
        return 0
    DOCUMENT.write_text(markdown(contracts), encoding="utf-8")
    return 0


def _row(contract: Contract) -> Iterator[str]:
    roles = {c.linkage_role for table in contract.tables.values() for c in table.columns}
    yield f"`{contract.feed}`"
    yield _text(contract.title)
    yield contract.domain.replace("_", " ")
    yield contract.supplier_kind.replace("_", " ")
    yield contract.cadence or "as needed"
    yield str(len(contract.tables))
    yield ", ".join(name for role, name in LINKS_BY.items() if role in roles) or "nothing"
    yield ", ".join(name.replace("_", " ") for name in contract.opt_outs) or "none"
    yield contract.layout


def _more(contract: Contract) -> str:
    return (
        f"## {contract.feed}\n\n"
        f"**Layout** {contract.layout}. {_text(contract.source_of_fact)}\n\n"
        f"**Legal basis** {_text(contract.legal_basis)}\n\n"
        f"**Known problems** {_text(contract.limitations)}\n"
    )


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
