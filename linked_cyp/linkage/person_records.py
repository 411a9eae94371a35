"""Person records: one row per source person, plus one per alternative name, place or number.

A row holds keyed tokens and encodings and nothing in clear but the sex: see ``COLUMNS``. Rows with
``alternative`` 0 are what the source says now; the others repeat it with one field replaced by a
former or alternative value, so that every comparison and blocking rule stays a plain equality.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from linked_cyp.identifiers import Rule, postcode_sector
from linked_cyp.linkage.encodings import MISSING, Encoder
from linked_cyp.names import compact_name, first_part, name_parts, phonetic

TOKEN = "BIGINT"
COLUMNS: dict[str, str] = {
    "record_id": "BIGINT",  # dense row number, for Splink; not stable between builds
    "record_key": "BIGINT",  # keyed token of the source person; stable
    "source": "SMALLINT",  # number of feed and supplier, see linkage.main.source
    "supplier": "SMALLINT",  # number of the supplier
    "alternative": "SMALLINT",  # 0: as the source says now
    "exclusion": "VARCHAR",  # why it may never be linked: adoption, sensitive, withheld; or null
    "is_named": "BOOLEAN",
    "nhs": TOKEN,
    "upn": TOKEN,
    "is_upn_permanent": "BOOLEAN",
    "la_child": TOKEN,  # the authority's own id of the child, with the authority
    "sex": "TINYINT",  # 1 male, 2 female
    "birth_date": TOKEN,
    "birth_date_swapped": TOKEN,  # day and month exchanged, where that is a date
    "birth_year_month": TOKEN,
    "birth_year_day": TOKEN,
    "birth_month_day": TOKEN,
    "postcode": TOKEN,
    "postcode_sector": TOKEN,
    "forename_birth_date": TOKEN,
    "forename_postcode": TOKEN,
    "forename_sound_birth_date": TOKEN,
    "forename_sound_postcode": TOKEN,
    "surname_birth_date": TOKEN,
    "surname_swapped": TOKEN,  # surname with the swapped date of birth
    "surname_postcode": TOKEN,
    "surname_sound_birth_date": TOKEN,
    "surname_part_1": TOKEN,
    "surname_part_2": TOKEN,
    "names": TOKEN,  # both names, in either order
    "names_birth_year": TOKEN,
    "forename_lane_0": "BIGINT",
    "forename_lane_1": "BIGINT",
    "forename_bits": "SMALLINT",
    "surname_lane_0": "BIGINT",
    "surname_lane_1": "BIGINT",
    "surname_bits": "SMALLINT",
}
TOKENS = tuple(name for name, kind in COLUMNS.items() if kind == TOKEN and "lane" not in name)[2:]
DDL = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())

# What a standardised identity holds; any may be null.
IDENTITY_SCHEMA: dict[str, pl.DataType] = {
    "record_key": pl.Int64(),
    "source": pl.Int16(),
    "supplier": pl.Int16(),
    "exclusion": pl.String(),
    "nhs_number": pl.String(),
    "upn": pl.String(),
    "la_child_id": pl.String(),
    "forename": pl.String(),
    "surname": pl.String(),
    "birth_date": pl.Date(),
    "sex": pl.Int8(),
    "postcode": pl.String(),
}
# List columns of further values, most recent first, and the field they stand for.
ALTERNATIVES = {
    "other_forenames": "forename",
    "other_surnames": "surname",
    "other_postcodes": "postcode",
    "other_birth_dates": "birth_date",
    "other_upns": "upn",
    "other_nhs_numbers": "nhs_number",
}
ALTERNATIVES_PER_FIELD = 4  # the most recent ones; more rows cost pairs and find almost nothing


def expand(identities: pl.DataFrame) -> pl.DataFrame:
    """Add a row for each alternative value.

    Args:
        identities: one row per source person: :data:`IDENTITY_SCHEMA` and any of
            :data:`ALTERNATIVES`.

    Returns:
        :data:`IDENTITY_SCHEMA` with ``alternative``, sorted by record_key and alternative.
    """
    current = identities.select(
        *(pl.col(n).cast(t) for n, t in IDENTITY_SCHEMA.items()),
        pl.lit(0, dtype=pl.Int16).alias("alternative"),
    )
    rows = [current]
    for number, (column, field) in enumerate(ALTERNATIVES.items()):
        if column not in identities.columns:
            continue
        values = pl.col(column).list.head(ALTERNATIVES_PER_FIELD)
        others = (
            identities.select("record_key", values.alias("value"))
            .explode("value", empty_as_null=False)
            .filter(pl.col("value").is_not_null())
            .with_columns(
                pl.col("value").cum_count().over("record_key").cast(pl.Int16).alias("place")
            )
        )
        rows.append(
            others.join(current, on="record_key", maintain_order="left")
            .filter(pl.col("value").ne_missing(pl.col(field)))
            .with_columns(
                pl.col("value").alias(field),
                (pl.col("place") + number * ALTERNATIVES_PER_FIELD).alias("alternative"),
            )
            .select(current.columns)
        )
    return pl.concat(rows).sort("record_key", "alternative")


def encode(rows: pl.DataFrame, encoder: Encoder) -> pl.DataFrame:
    """Turn expanded identities into person records (all of :data:`COLUMNS` but record_id)."""
    rows = rows.with_columns(
        pl.col("forename", "surname", "upn", "nhs_number", "la_child_id", "postcode").replace(
            "", None
        )
    )
    out: dict[str, np.ndarray] = {}
    dates = _date_tokens(rows["birth_date"], encoder, out)
    out["nhs"] = encoder.tokens("nhs", rows["nhs_number"])
    out["upn"] = encoder.tokens("upn", rows["upn"])
    out["la_child"] = encoder.tokens("la_child", rows["la_child_id"])
    out["postcode"] = encoder.tokens("postcode", rows["postcode"])
    sectors = per_distinct(rows["postcode"], postcode_sector)
    out["postcode_sector"] = encoder.tokens("postcode_sector", sectors)
    names = _name_tokens(rows, dates, out, encoder)
    tokens = {
        name: pl.Series(name, values, dtype=pl.Int64).replace(int(MISSING), None)
        for name, values in out.items()
    }
    others = {
        "is_named": rows["forename"].is_not_null() | rows["surname"].is_not_null(),
        "is_upn_permanent": rows["upn"].str.contains("[0-9]$"),
        **{n: rows[n] for n in ("record_key", "source", "supplier", "alternative", "exclusion")},
        "sex": rows["sex"],
    }
    frame = pl.DataFrame({**others, **tokens, **names})
    return frame.select(name for name in COLUMNS if name != "record_id")


def _date_tokens(
    birth_dates: pl.Series, encoder: Encoder, out: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Tokens of the date and its parts into ``out``; those that only salt are returned."""
    frame = birth_dates.alias("d").to_frame()
    d = pl.col("d")
    texts = frame.select(
        d.dt.strftime("%Y-%m-%d").alias("birth_date"),
        pl.when((d.dt.day() <= 12) & (d.dt.day() != d.dt.month()))
        .then(d.dt.strftime("%Y-%d-%m"))
        .alias("birth_date_swapped"),
        d.dt.strftime("%Y-%m").alias("birth_year_month"),
        d.dt.strftime("%Y//%d").alias("birth_year_day"),
        d.dt.strftime("%m-%d").alias("birth_month_day"),
        d.dt.strftime("%Y").alias("birth_year"),
    )
    for name in texts.columns[:-1]:
        purpose = name.removesuffix("_swapped")  # a swapped date is compared with a date
        out[name] = encoder.tokens(purpose, texts[name])
    return {"birth_year": encoder.tokens("birth_year", texts["birth_year"])}


def _name_tokens(
    rows: pl.DataFrame,
    dates: dict[str, np.ndarray],
    out: dict[str, np.ndarray],
    encoder: Encoder,
) -> dict[str, np.ndarray]:
    """Composite tokens of the names into ``out``; the Bloom encodings are returned."""
    bloom_columns: dict[str, np.ndarray] = {}
    alone: dict[str, np.ndarray] = {}
    # MARY JANE is often written MARY: a forename sounds like its first part.
    heard_of = {"forename": lambda name: phonetic(first_part(name)), "surname": phonetic}
    for field in ("forename", "surname"):
        texts = per_distinct(rows[field], compact_name)
        name = alone[field] = encoder.tokens("name", texts)
        heard = encoder.tokens(f"{field}_sound", per_distinct(rows[field], heard_of[field]))
        # An exact name is compared in three composites, so the salt never hides an agreement.
        out[f"{field}_birth_date"] = encoder.compose(f"{field}_birth_date", name, out["birth_date"])
        out[f"{field}_postcode"] = encoder.compose(f"{field}_postcode", name, out["postcode"])
        out[f"{field}_sound_birth_date"] = encoder.compose(
            f"{field}_sound_birth_date", heard, out["birth_date"]
        )
        if field == "forename":
            out["forename_sound_postcode"] = encoder.compose(
                "forename_sound_postcode", heard, out["postcode"]
            )
        bloom = encoder.bloom(field, texts, out["birth_date"])
        bloom_columns |= {
            f"{field}_lane_0": np.asarray(bloom.lane_0),
            f"{field}_lane_1": np.asarray(bloom.lane_1),
            f"{field}_bits": bloom.bits,
        }
    out["surname_swapped"] = encoder.compose(
        "surname_birth_date", alone["surname"], out["birth_date_swapped"]
    )
    for number in (1, 2):
        several = per_distinct(rows["surname"], _SURNAME_PARTS[number])
        tokens = encoder.tokens("surname_part", several)
        out[f"surname_part_{number}"] = encoder.salted("surname_part", tokens, out["birth_date"])
    first = np.minimum(alone["forename"], alone["surname"])
    second = np.maximum(alone["forename"], alone["surname"])
    out["names"] = encoder.compose("names", first, second)
    out["names_birth_year"] = encoder.compose("names_birth_year", out["names"], dates["birth_year"])
    return bloom_columns


def _last_of_several(names: pl.Expr) -> pl.Expr:
    parts = name_parts(names)
    return pl.when(parts.list.len() > 1).then(parts.list.last())


_SURNAME_PARTS = {1: lambda names: name_parts(names).list.first(), 2: _last_of_several}


def per_distinct(values: pl.Series, rule: Rule) -> pl.Series:
    """Apply a rule once to each distinct value; null stays null."""
    distinct = values.drop_nulls().unique().alias("before")
    if distinct.is_empty():
        return pl.Series([None] * len(values), dtype=pl.String)
    lookup = distinct.to_frame().with_columns(rule(pl.col("before")).alias("after"))
    whole = values.alias("before").to_frame()
    return whole.join(lookup, on="before", how="left", maintain_order="left")["after"]
