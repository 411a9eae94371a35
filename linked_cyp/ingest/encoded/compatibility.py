"""What two installations must have in common before their encodings can be compared.

Versions that people remember to raise are forgotten. So both are computed: the contract's from
what it declares, the encoding's by spelling and encoding a handful of invented identities under a
published key. Whatever changes how a name is spelt, a number validated or an encoding made changes
the result, whoever made the change.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from functools import cache
from typing import Any

import polars as pl

from linked_cyp.contracts.model import Column, Contract
from linked_cyp.contracts.vocabulary import IDENTIFIER_TYPES
from linked_cyp.identity import tokenise
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.person_records import encode, expand
from linked_cyp.identity.roles import ROLES

PUBLISHED_KEY = hashlib.sha256(b"linked_cyp: a published key, to compare encodings only").digest()
# Words about the data, which change nothing in it. Opt-outs are applied where it is received.
_PROSE = frozenset(
    (
        *("description", "label", "title", "purpose", "limitations", "legal_basis", "owner"),
        *("cadence", "source_of_fact", "grain", "opt_outs", "plain_words", "harmonised"),
        *("source_rank", "is_spine", "person_facts"),
    )
)
# Every value is invented: numbers from the ranges that are never issued, no name of anybody.
SAMPLE: dict[str, tuple[str, ...]] = {
    "nhs_number": ("9990000018", "999 000 0026", "9990000000", "UNKNOWN"),
    "upn": ("P801999600001", " a80199960000a", "UN1", "B801999600001"),
    "forename": ("Mary-Jane", "  zoë  ", "BABY", "Mohammed (known as Mo)", "Dr. Ángel"),
    "surname": (
        "O\u2019Neill",
        "de la Cruz-Smith",
        "MCDONALD",
        "Unknown",
        "St. John",
        "van den Berg",
    ),
    "birth_date": ("2012-03-04", "2011-01-01", "1900-01-01", "2010-12-25"),
    "sex": ("F", "2", "male", "9"),
    "postcode": ("ZZ99 3VZ", "nw10 5ab", "NW1O5AB", "SW1A 1AA"),
    "la_child_id": (" ab 12", "AB12", "000123"),
}


def contract_digest(contract: Contract) -> str:
    """SHA-256 of all that a contract says about the data: columns, codes, treatments, roles."""
    declared = json.dumps(_without_prose(asdict(contract)), sort_keys=True, default=str)
    return hashlib.sha256(declared.encode()).hexdigest()


@cache
def encoding_version() -> str:
    """16 digits that stand for how identities are spelt, tokenised and encoded."""
    keys = Keys(PUBLISHED_KEY)
    digest = hashlib.sha256()
    for role, meaning in ROLES.items():
        for part in fields(meaning):
            said = getattr(meaning, part.name)
            if callable(said):  # a rule of how values are spelt
                said = _sample(role).to_frame().lazy().select(said(pl.col("value"))).collect()
                said = said.write_csv()
            digest.update(f"{role} {part.name}\n{said}\n".encode())
    for name, column in _spelt_alike().items():
        values = pl.concat([_sample(role) for role in SAMPLE]).to_frame().lazy()
        spelt = values.select(tokenise.rule_for(column)(pl.col("value"))).collect()
        digest.update(f"{name}\n{spelt.write_csv()}\n".encode())
    records = encode(expand(identities()), Encoder(keys))
    digest.update(records.write_csv().encode())
    return digest.hexdigest()[:16]


def identities(held: frozenset[str] | None = None) -> pl.DataFrame:
    """Invented standardised identities that hold some fields (all by default), others null."""
    longest = max(len(values) for values in SAMPLE.values())
    columns: dict[str, pl.Series] = {
        name: pl.Series(range(1, longest + 1), dtype=pl.Int64)
        for name in ("record_key", "source", "supplier")
    }
    columns["exclusion"] = pl.Series([None] * longest, dtype=pl.String)
    for role in (role for role, meaning in ROLES.items() if meaning.rank == 0):
        field = ROLES[role].field
        spelt = _sample(role).to_frame().lazy().select(ROLES[role].rule(pl.col("value")))
        known = spelt.collect().to_series().to_list()
        wanted = held is None or field in held
        columns[field] = pl.Series(
            [known[n % len(known)] if wanted else None for n in range(longest)], dtype=pl.String
        )
    return pl.DataFrame(columns).with_columns(
        pl.col("birth_date").str.to_date("%Y-%m-%d"),
        pl.col("sex").cast(pl.Int8),
        pl.concat_list(pl.col("surname").reverse()).alias("other_surnames"),
    )


def _sample(role: str) -> pl.Series:
    """Values of a role as they may be written; names, for a field that has no sample."""
    return pl.Series("value", SAMPLE.get(ROLES[role].field, SAMPLE["forename"]), dtype=pl.String)


def _spelt_alike() -> dict[str, Column]:
    """A column of each kind that :func:`tokenise.rule_for` tells apart."""
    kinds = {k: Column("c", "c", "string", "", identifier_type=k) for k in IDENTIFIER_TYPES}
    roles = {r: Column("c", "c", "string", "", linkage_role=r) for r in (*ROLES, "middle_names")}
    return {**kinds, **{f"role {r}": column for r, column in roles.items()}}


def _without_prose(item: Any) -> Any:
    if isinstance(item, dict):
        return {k: _without_prose(v) for k, v in item.items() if k not in _PROSE}
    if isinstance(item, list | tuple):
        return [_without_prose(part) for part in item]
    return item
