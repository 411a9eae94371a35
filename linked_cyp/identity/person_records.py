"""Person records: one row per source person, plus one per alternative name, place or number.

A row holds keyed tokens and encodings and nothing in clear but the sex: see ``COLUMNS``. Rows with
``alternative`` 0 are what the source says now; the others repeat it with one field replaced by a
former or alternative value, so that every comparison and blocking rule stays a plain equality.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from linked_cyp.identity.encodings import MISSING, Encoder
from linked_cyp.identity.identifiers import (
    Rule,
    estimated_birth_date,
    postcode_district,
    postcode_sector,
)
from linked_cyp.identity.names import compact_name, first_part, formal_name, name_parts, phonetic

TOKEN = "BIGINT"
COLUMNS: dict[str, str] = {
    "record_id": "BIGINT",  # row number, for Splink; not stable between builds
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
    "birth_year": TOKEN,
    "birth_year_only": TOKEN,  # of a date that is 1 January, as when only the year is known
    "postcode": TOKEN,
    "postcode_sector": TOKEN,
    "postcode_district": TOKEN,
    "forename_birth_date": TOKEN,
    "forename_postcode": TOKEN,
    "forename_sound_birth_date": TOKEN,
    "forename_sound_postcode": TOKEN,
    "surname_birth_date": TOKEN,
    "surname_swapped": TOKEN,  # surname with the swapped date of birth
    "surname_postcode": TOKEN,
    "surname_sound_birth_date": TOKEN,
    "forename_form_1": TOKEN,  # what a familiar first name stands for: LIZ is ELIZABETH
    "forename_form_2": TOKEN,
    "forename_second": TOKEN,  # second or middle name, which some use as the first
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
# Further columns that an identity may have.
OPTIONAL: dict[str, pl.DataType] = {"middle_names": pl.String()}
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
            :data:`OPTIONAL` and :data:`ALTERNATIVES`.

    Returns:
        :data:`IDENTITY_SCHEMA`, :data:`OPTIONAL` and ``alternative``, sorted by record_key and
        alternative.
    """
    missing = [
        pl.lit(None, dtype=t).alias(n) for n, t in OPTIONAL.items() if n not in identities.columns
    ]
    current = identities.with_columns(missing).select(
        *(pl.col(n).cast(t) for n, t in (IDENTITY_SCHEMA | OPTIONAL).items()),
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
    out = {
        "nhs": encoder.tokens("nhs", rows["nhs_number"]),
        "upn": encoder.tokens("upn", rows["upn"]),
        "la_child": encoder.tokens("la_child", rows["la_child_id"]),
        **tokens_of_distinct(rows["birth_date"], DATE_TOKENS, encoder),
        **tokens_of_distinct(rows["postcode"], POSTCODE_TOKENS, encoder),
    }
    blooms = _compose_names(rows, out, encoder)
    others = {
        "is_named": rows["forename"].is_not_null() | rows["surname"].is_not_null(),
        "is_upn_permanent": rows["upn"].str.contains("[0-9]$"),
        **{n: rows[n] for n in ("record_key", "source", "supplier", "alternative", "exclusion")},
        "sex": rows["sex"],
    }
    frame = pl.DataFrame({**others, **blooms, **out})
    # MISSING is an array's null.
    return frame.select(
        pl.when(pl.col(name) != int(MISSING)).then(pl.col(name)) if name in out else pl.col(name)
        for name in COLUMNS
        if name != "record_id"
    )


def _date(text: str) -> Rule:
    return lambda dates: dates.dt.strftime(text)


def _swapped(dates: pl.Expr) -> pl.Expr:
    day, month = dates.dt.day(), dates.dt.month()
    return pl.when((day <= 12) & (day != month)).then(dates.dt.strftime("%Y-%d-%m"))


def _text(values: pl.Expr) -> pl.Expr:
    return values


def _telling_part(place: int) -> Rule:
    """The first or the last of the parts of a name; the last only where there are several."""

    def rule(names: pl.Expr) -> pl.Expr:
        parts = name_parts(names)
        if place == 0:
            return parts.list.first()
        return pl.when(parts.list.len() > 1).then(parts.list.last())

    return rule


def _second_part(names: pl.Expr) -> pl.Expr:
    return pl.when(name_parts(names).list.len() > 1).then(name_parts(names).list.get(1))


def _sector(places: pl.Expr) -> pl.Expr:
    """A code of a place that is no British postcode is a sector by itself."""
    return pl.coalesce(postcode_sector(places), places)


# Column -> purpose of its token (equal purposes can be compared) and how its text is made.
TokenRules = dict[str, tuple[str, Rule]]
DATE_TOKENS: TokenRules = {
    "birth_date": ("birth_date", _date("%Y-%m-%d")),
    "birth_date_swapped": ("birth_date", _swapped),
    "birth_year_month": ("birth_year_month", _date("%Y-%m")),
    "birth_year_day": ("birth_year_day", _date("%Y//%d")),
    "birth_month_day": ("birth_month_day", _date("%m-%d")),
    "birth_year": ("birth_year", _date("%Y")),
    "birth_year_only": (
        "birth_year",
        lambda dates: pl.when(estimated_birth_date(dates)).then(dates.dt.strftime("%Y")),
    ),
}
POSTCODE_TOKENS: TokenRules = {
    "postcode": ("postcode", _text),
    "postcode_sector": ("postcode_sector", _sector),
    "postcode_district": ("postcode_district", postcode_district),
}
FORENAME_TOKENS: TokenRules = {
    "name": ("name", compact_name),
    # MARY JANE is often written MARY: a forename sounds like its first part.
    "sound": ("forename_sound", lambda names: phonetic(first_part(names))),
    "form_1": ("forename_form", lambda names: formal_name(names, 1)),
    "form_2": ("forename_form", lambda names: formal_name(names, 2)),
    "second": ("forename_form", _second_part),
}
SURNAME_TOKENS: TokenRules = {
    "name": ("name", compact_name),
    "sound": ("surname_sound", phonetic),
    "part_1": ("surname_part", _telling_part(0)),
    "part_2": ("surname_part", _telling_part(-1)),
}
NAME_TOKENS = {"forename": FORENAME_TOKENS, "surname": SURNAME_TOKENS}
MIDDLE_NAME_TOKENS: TokenRules = {"second": ("forename_form", _telling_part(0))}


def _compose_names(
    rows: pl.DataFrame, out: dict[str, np.ndarray], encoder: Encoder
) -> dict[str, np.ndarray]:
    """Composite tokens of the names into ``out``; the Bloom encodings are returned."""
    birth_date, postcode = out["birth_date"], out["postcode"]
    forename = tokens_of_distinct(rows["forename"], FORENAME_TOKENS, encoder)
    surname = tokens_of_distinct(rows["surname"], SURNAME_TOKENS, encoder)
    middle = tokens_of_distinct(rows["middle_names"], MIDDLE_NAME_TOKENS, encoder)["second"]
    forename["second"] = np.where(forename["second"] == MISSING, middle, forename["second"])
    for field, tokens in (("forename", forename), ("surname", surname)):
        # An exact name is compared in three composites, so the salt never hides an agreement.
        for column, part, other in (
            ("birth_date", "name", birth_date),
            ("postcode", "name", postcode),
            ("sound_birth_date", "sound", birth_date),
        ):
            purpose = f"{field}_{column}"
            out[purpose] = encoder.compose(purpose, tokens[part], other)
    out["forename_sound_postcode"] = encoder.compose(
        "forename_sound_postcode", forename["sound"], postcode
    )
    out["surname_swapped"] = encoder.compose(
        "surname_birth_date", surname["name"], out["birth_date_swapped"]
    )
    for field, texts, shared, parts in (
        ("forename", forename, "forename_form", ("form_1", "form_2", "second")),
        ("surname", surname, "surname_part", ("part_1", "part_2")),
    ):
        for part in parts:
            column = f"{field}_{part}"
            salted = encoder.salted(shared, texts[part], birth_date)
            # That a name has no second form or part narrows it down, so nothing is missing: the
            # record's own token agrees with no other record's.
            own = encoder.compose(f"no_{column}", rows["record_key"].to_numpy(), texts["name"])
            out[column] = np.where(salted == MISSING, own, salted)
    first = np.minimum(forename["name"], surname["name"])
    second = np.maximum(forename["name"], surname["name"])
    out["names"] = encoder.compose("names", first, second)
    out["names_birth_year"] = encoder.compose("names_birth_year", out["names"], out["birth_year"])
    blooms: dict[str, np.ndarray] = {}
    for field, beside in (("forename", surname), ("surname", forename)):
        compact = rows.select(compact_name(pl.col(field))).to_series()
        salt = encoder.compose(f"bloom_salt.{field}", beside["sound"], birth_date)
        bloom = encoder.bloom(field, compact, salt)
        blooms[f"{field}_lane_0"], blooms[f"{field}_lane_1"] = bloom.lane_0, bloom.lane_1
        blooms[f"{field}_bits"] = bloom.bits
    return blooms


def tokens_of_distinct(
    values: pl.Series, rules: TokenRules, encoder: Encoder
) -> dict[str, np.ndarray]:
    """Tokens of texts made from a column; texts and tokens are made once per distinct value."""
    distinct = values.drop_nulls().unique().alias("value")
    lazy = distinct.to_frame().lazy()
    texts = lazy.select(r(pl.col("value")).alias(n) for n, (_, r) in rules.items()).collect()
    # A null is looked up behind the last distinct value.
    found = {
        name: np.append(encoder.tokens(purpose, texts[name].cast(pl.String)), MISSING)
        for name, (purpose, _) in rules.items()
    }
    lookup = distinct.to_frame().with_row_index("place")
    whole = values.alias("value").to_frame()
    place = whole.join(lookup, on="value", how="left", maintain_order="left")["place"]
    rows = place.fill_null(len(distinct)).to_numpy()
    return {name: tokens[rows] for name, tokens in found.items()}


def per_distinct(values: pl.Series, rule: Rule) -> pl.Series:
    """Apply a rule once to each distinct value; null stays null."""
    distinct = values.drop_nulls().unique().alias("before")
    if distinct.is_empty():
        return pl.Series([None] * len(values), dtype=pl.String)
    lookup = distinct.to_frame().with_columns(rule(pl.col("before")).alias("after"))
    whole = values.alias("before").to_frame()
    return whole.join(lookup, on="before", how="left", maintain_order="left")["after"]
