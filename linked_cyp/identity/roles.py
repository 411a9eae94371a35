"""What each linkageRole contributes to an identity: the field, and how its values are spelt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from linked_cyp.identity import identifiers, names
from linked_cyp.identity.identifiers import IDENTIFIERS, Rule

_SEXES = {"1": "1", "M": "1", "MALE": "1", "2": "2", "F": "2", "FEMALE": "2"}


def _birth_date(values: pl.Expr) -> pl.Expr:
    dates = values.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    return identifiers.usable_birth_date(dates).dt.strftime("%Y-%m-%d")


def _sex(values: pl.Expr) -> pl.Expr:
    return values.str.to_uppercase().replace_strict(_SEXES, default=None, return_dtype=pl.String)


@dataclass(frozen=True)
class Role:
    """What a ``linkageRole`` contributes: the field, its rule, and its rank (0 current).

    ``also`` is the rule of a further value in the same text, which ranks behind.
    """

    field: str
    rule: Rule
    rank: int = 0
    also: Rule | None = None


ROLES: Mapping[str, Role] = {
    "nhs_number": Role("nhs_number", IDENTIFIERS["nhs_number"].usable),
    "former_nhs_number": Role("nhs_number", IDENTIFIERS["nhs_number"].usable, 1),
    "upn": Role("upn", IDENTIFIERS["upn"].usable),
    "former_upn": Role("upn", IDENTIFIERS["upn"].usable, 1),
    "la_child_id": Role("la_child_id", identifiers.standardise_id),
    "forename": Role("forename", names.standardise_forename, also=names.also_known_as),
    "middle_names": Role("middle_names", names.standardise_forename),
    "surname": Role("surname", names.standardise_surname, also=names.also_known_as),
    "preferred_surname": Role("surname", names.standardise_surname, 1),
    "former_surname": Role("surname", names.standardise_surname, 2),
    "birth_date": Role("birth_date", _birth_date),
    "sex": Role("sex", _sex),
    "postcode": Role("postcode", IDENTIFIERS["postcode"].usable),
}
