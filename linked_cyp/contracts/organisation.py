"""Who is responsible for the data: ``data_contracts/organisation.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from linked_cyp.core.errors import LinkedCypError

FILE = "organisation.yaml"
FOR_CHILDREN = (
    *("purpose", "promises", "retention", "responsible"),
    *("objection", "rights", "complaint"),
)


@dataclass(frozen=True)
class Organisation:
    """The organisation behind an installation, as its public page and metadata name it.

    ``identifier`` is its web address, ``area`` a comma-separated place from the country down,
    ``access`` holds ``rights``, ``cost``, ``lead_time``, ``publishing_frequency`` and ``time_lag``
    (the last three in the words of the HDR UK metadata schema 3.0.0). ``for_children`` holds
    ``FOR_CHILDREN`` once more, in a child's words.
    """

    name: str
    identifier: str
    contact: str
    area: str
    controllers: tuple[str, ...]
    processor: str
    data_protection_officer: Mapping[str, str]
    purpose: str
    promises: tuple[str, ...]
    retention: str
    objection: Mapping[str, str]
    rights: str
    complaint: str
    for_children: Mapping[str, Any]
    access: Mapping[str, str]


def load_organisation(contracts: Path) -> Organisation:
    """Read the file of an installation's contracts folder.

    Raises:
        LinkedCypError: it is missing, or an entry is missing, empty or unknown.
    """
    path = contracts / FILE
    if not path.exists():
        raise LinkedCypError(f"{FILE} is missing: it says who is responsible for the data")
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    wanted = {field.name for field in fields(Organisation)}
    if not isinstance(document, dict) or set(document) != wanted:
        odd = sorted(wanted ^ set(document if isinstance(document, dict) else ()))
        raise LinkedCypError(f"{FILE}: missing or unknown: {', '.join(odd)}")
    empty = sorted(name for name, value in document.items() if not value)
    if empty:
        raise LinkedCypError(f"{FILE}: empty: {', '.join(empty)}")
    said = document["for_children"]
    lacking = [n for n in FOR_CHILDREN if not isinstance(said, dict) or not said.get(n)]
    if lacking:
        raise LinkedCypError(f"{FILE}: for_children does not say: {', '.join(lacking)}")
    return Organisation(**{name: _tidy(value) for name, value in document.items()})


def _tidy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(_tidy(item) for item in value)
    return " ".join(str(value).split())
