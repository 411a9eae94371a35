"""Write person records into the linkage store, and link a frame of them in one call.

Where the identities come from is :mod:`linked_cyp.linkage.records.identities`; what is kept of
them is
:mod:`linked_cyp.identity.person_records`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Protocol

import duckdb
import numpy as np
import polars as pl

from linked_cyp.core.errors import value_free
from linked_cyp.identity.comparisons import NULL_LEVEL, comparison_levels
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.person_records import (
    COLUMNS,
    DDL,
    NAME_TOKENS,
    encode,
    expand,
    per_distinct,
)

SOURCE_DDL = "source SMALLINT, feed VARCHAR, supplier SMALLINT, tells_apart BOOLEAN"
DELIVERY_DDL = (
    "delivery_id VARCHAR, received_at TIMESTAMP, is_outdated BOOLEAN, lacks_exclusions BOOLEAN"
)
NO_DELIVERIES = pl.DataFrame(schema={"delivery_id": pl.String})
HOLDER_DDL = "record_key BIGINT, holder BIGINT"
NO_HOLDERS = pl.DataFrame(schema={"record_key": pl.Int64, "holder": pl.Int64})
SAMPLED_PAIRS = 300_000
SEED = 20241101  # of those pairs


def write_person_records(
    con: duckdb.DuckDBPyConnection,
    batches: Iterable[pl.DataFrame],
    sources: pl.DataFrame,
    aliases: pl.DataFrame,
    encoder: Encoder,
    others: OtherRecords | None = None,
    deliveries: pl.DataFrame | None = None,
    holders: pl.DataFrame | None = None,
) -> int:
    """Encode identities batch by batch into ``linkage.main.person_record`` and its companions.

    Args:
        con: connection with a writable ``linkage`` catalog; the tables are replaced.
        batches: standardised identities, each source person in one batch only.
        sources: ``source``, ``feed``, ``supplier`` (numbers) and ``tells_apart``: whether the
            source's own key is an authority's id, so that two keys mean two children.
        aliases: ``identifier`` (nhs or upn), ``former``, ``present``: numbers that a source says
            replaced each other, standardised.
        encoder: how names are encoded.
        others: records that were encoded elsewhere, with the same keys.
        deliveries: what the ledger counted: ``delivery_id``, ``received_at``, ``is_outdated``
            (encoded elsewhere by an earlier version) and ``lacks_exclusions`` (and without an
            exclusion of now).
        holders: ``record_key`` of a record without a date of birth to vouch for its NHS number, and
            each ``holder`` of the number with whom it may be linked.

    Returns:
        Number of rows, alternatives included.
    """
    nobody = pl.DataFrame(schema={"name": pl.String, "n": pl.UInt32})
    counts = {field: [nobody] for field in ("forename", "surname")}
    with value_free("encoding person records"):
        con.execute(f"CREATE OR REPLACE TEMP TABLE encoded ({DDL.split(', ', 1)[1]})")
        for batch in batches:
            for field, frequencies in counts.items():
                frequencies.append(_frequencies(batch[field]))
            _insert(con, "encoded", encode(expand(batch), encoder))
        if others:
            others.add_records(con, "encoded")
        con.execute(
            # Numbered as they come out of the sort: a window with an order would sort again.
            "CREATE OR REPLACE TABLE linkage.main.person_record AS SELECT row_number() OVER ()"
            f"::BIGINT AS record_id, * FROM (SELECT {_ENCODED} FROM encoded"
            " ORDER BY source, record_key, alternative)"
        )
        con.execute("DROP TABLE encoded")
        _replace(con, "source", SOURCE_DDL, sources)
        _replace(con, "delivery", DELIVERY_DDL, NO_DELIVERIES if deliveries is None else deliveries)
        _replace(con, "number_holder", HOLDER_DDL, NO_HOLDERS if holders is None else holders)
        _replace(
            con,
            "identifier_alias",
            "identifier VARCHAR, former BIGINT, token BIGINT",
            _last_numbers(
                [_alias_tokens(aliases, encoder), *([others.aliases(con)] if others else [])]
            ),
        )
        agreement = [
            (field, level, share)
            for field, frequencies in counts.items()
            for level, share in _name_agreement(
                field, pl.concat(frequencies), encoder, others.name_agreement(con) if others else []
            ).items()
        ]
        _replace(
            con,
            "name_agreement",
            "field VARCHAR, level VARCHAR, share DOUBLE",
            pl.DataFrame(agreement, schema=["field", "level", "share"], orient="row"),
        )
        con.execute("CREATE OR REPLACE TABLE linkage.main.build (is_hardened BOOLEAN)")
        con.execute("INSERT INTO linkage.main.build VALUES (?)", [encoder.hardened])
        return con.execute("SELECT count(*) FROM linkage.main.person_record").fetchall()[0][0]


class OtherRecords(Protocol):
    """Person records that were encoded elsewhere (see
    :mod:`linked_cyp.linkage.records.encoded`)."""

    def add_records(self, con: duckdb.DuckDBPyConnection, table: str) -> None:
        """Add them to a table of :data:`COLUMNS` without record_id."""
        ...

    def aliases(self, con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
        """Tokens of replaced numbers: ``identifier``, ``former``, ``token``."""
        ...

    def name_agreement(self, con: duckdb.DuckDBPyConnection) -> list[NameAgreement]:
        """Per population that was counted elsewhere, its people and shares by field and level."""
        ...


NameAgreement = tuple[int, Mapping[str, Mapping[str, float]]]
_ENCODED = ", ".join(name for name in COLUMNS if name != "record_id")


def name_agreement(field: str, frequencies: pl.DataFrame, encoder: Encoder) -> dict[str, float]:
    """Share of random pairs of people at each level of a name comparison.

    Six aggregate numbers per field, sampled in memory from ``name`` and its ``n`` people; no
    name and no frequency of one leaves this function. Empty without names.
    """
    people = frequencies.group_by("name").agg(pl.col("n").sum()).sort("name")
    if people["n"].sum() is None or people["n"].sum() < 2:
        return {}
    share = people["n"].to_numpy() / people["n"].sum()
    draw = np.random.default_rng(SEED)
    left, right = (draw.choice(len(share), SAMPLED_PAIRS, p=share) for _ in range(2))
    rules = NAME_TOKENS[field]
    compact = per_distinct(people["name"], rules["name"][1])
    bloom = encoder.unsalted().bloom(field, compact, np.zeros(len(share), dtype=np.int64))
    common = sum(
        np.bitwise_count(lane[left] & lane[right]).astype(np.int32)
        for lane in (bloom.lane_0.view(np.uint64), bloom.lane_1.view(np.uint64))
    )
    alike = 200 * common / (bloom.bits[left] + bloom.bits[right])

    def agree(*parts: str) -> np.ndarray:
        """Whether one of the parts of one name is one of the other's."""
        codes = _codes([per_distinct(people["name"], rules[part][1]) for part in parts])
        found = np.zeros(SAMPLED_PAIRS, dtype=bool)
        for one, other in product(codes, codes):
            found |= (one[left] == other[right]) & (one[left] >= 0)
        return found

    conditions: dict[str, Callable[[], np.ndarray]] = {
        "exact": lambda: agree("name"),
        "dice_80": lambda: alike >= 80,
        "part": lambda: agree("part_1", "part_2"),
        "sound": lambda: agree("sound"),
        "form": lambda: agree("form_1", "form_2", "second"),
        "dice_60": lambda: alike >= 60,
        "dice_45": lambda: alike >= 45,
        "differ": lambda: np.ones(SAMPLED_PAIRS, dtype=bool),
    }
    shares: dict[str, float] = {}
    rest = np.ones(SAMPLED_PAIRS, dtype=bool)
    for level in comparison_levels()[field]:
        if level not in (NULL_LEVEL, "twin"):
            here = rest & conditions[level]()
            # A level that was not drawn is rarer than one in the sample, not impossible.
            shares[level] = max(float(here.mean()), 0.5 / SAMPLED_PAIRS)
            rest &= ~here
    return shares


def _name_agreement(
    field: str, frequencies: pl.DataFrame, encoder: Encoder, others: Sequence[NameAgreement]
) -> dict[str, float]:
    """:func:`name_agreement` of all people: the mean of the populations, by their people.

    Names of two populations cannot be compared when one never showed them, so a pair across is
    taken to agree as often as a pair within.
    """
    counted = [(people, shares[field]) for people, shares in others if shares.get(field)]
    own = name_agreement(field, frequencies, encoder)
    if own or not counted:
        counted.append((int(frequencies["n"].sum() or 0), own))
    everybody = sum(people for people, _ in counted)
    if len(counted) == 1 or not everybody:
        return dict(counted[0][1])
    levels = {level: None for _, shares in counted for level in shares}
    return {
        level: sum(people * shares.get(level, 0.0) for people, shares in counted) / everybody
        for level in levels
    }


def _codes(texts: Sequence[pl.Series]) -> list[np.ndarray]:
    """Numbers that are equal where the texts are; -1 for null."""
    number = (
        pl.concat([t.replace("", None).alias("text") for t in texts]).rank("dense").fill_null(0)
    )
    codes = number.cast(pl.Int64).to_numpy() - 1
    return np.split(codes, len(texts))


def _frequencies(names: pl.Series) -> pl.DataFrame:
    return names.drop_nulls().alias("name").to_frame().group_by("name").agg(pl.len().alias("n"))


def _alias_tokens(aliases: pl.DataFrame, encoder: Encoder) -> pl.DataFrame:
    """Tokens of former numbers and of those that replaced them: identifier, former, token."""
    frames = []
    for identifier in ("nhs", "upn"):
        chosen = aliases.filter(pl.col("identifier") == identifier)
        former, token = (
            pl.Series(encoder.tokens(identifier, chosen[name]), dtype=pl.Int64)
            for name in ("former", "present")
        )
        frames.append(
            pl.DataFrame({"former": former, "token": token}).select(
                pl.lit(identifier).alias("identifier"), "former", "token"
            )
        )
    return pl.concat(frames)


def _last_numbers(aliases: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Each former number with the last in its chain of replacements (the first frame's word)."""
    present: dict[tuple[str, int], int] = {}
    for identifier, former, token in pl.concat(list(reversed(aliases))).iter_rows():
        if former != token:
            present[identifier, former] = token
    for (identifier, former), token in list(present.items()):
        seen = {former}
        while (identifier, token) in present and token not in seen:
            seen.add(token)
            token = present[identifier, token]
        present[identifier, former] = token
    return pl.DataFrame(
        [(name, former, token) for (name, former), token in present.items() if former != token],
        schema={"identifier": pl.String, "former": pl.Int64, "token": pl.Int64},
        orient="row",
    )


def _insert(con: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> None:
    con.register("incoming", frame.to_arrow())
    con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
    con.unregister("incoming")


def _replace(con: duckdb.DuckDBPyConnection, name: str, ddl: str, frame: pl.DataFrame) -> None:
    con.execute(f"CREATE OR REPLACE TABLE linkage.main.{name} ({ddl})")
    _insert(con, f"linkage.main.{name}", frame)
