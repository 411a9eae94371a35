"""Any frame of person records as standardised identities: what :func:`link` does first.

Columns go by ``linkageRole``; several values of a role may stand in a list column or in numbered
columns (``former_surname_1``, ``former_surname_2``). What cannot be read becomes null.

Three things are decided for a whole column, because outside data are not always British:

* dates that do not begin with the year are day first, unless that makes more of them impossible
  than month first;
* numbers (NHS, UPN) of which most fail their check digit are some other number: kept as they are;
* postcodes of which most are not British (Australian, American) are codes of places: kept as they
  are, and compared as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import polars as pl

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity import identifiers
from linked_cyp.identity.identifiers import IDENTIFIERS, Rule
from linked_cyp.identity.person_records import ALTERNATIVES, IDENTITY_SCHEMA, OPTIONAL, per_distinct
from linked_cyp.identity.roles import ROLES as CONTRACT_ROLES
from linked_cyp.identity.roles import Role
from linked_cyp.linkage.records.identities import BATCH

# Roles that no contract has, because there the feeds' own history gives them.
ROLES = {
    **CONTRACT_ROLES,
    "preferred_forename": Role("forename", CONTRACT_ROLES["forename"].rule, 1),
    "former_postcode": Role("postcode", CONTRACT_ROLES["postcode"].rule, 1),
}
_DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d%m%Y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m.%d.%Y", "%m%d%Y")
_TEXTS = {**IDENTITY_SCHEMA, **OPTIONAL}


def as_frame(records: Any) -> pl.DataFrame:
    """A Polars frame of anything that Polars reads: Arrow, pandas, a mapping of columns."""
    if isinstance(records, pl.LazyFrame):
        return records.collect()
    return records if isinstance(records, pl.DataFrame) else pl.DataFrame(records)


def identities(records: pl.DataFrame, keys: pl.Series, sources: pl.Series) -> pl.DataFrame:
    """One standardised identity for each record, as person records are made of.

    Args:
        records: identifier columns by role; others are ignored.
        keys: record keys, one for each record.
        sources: names of their sources; an authority's own child id counts within its source.

    Returns:
        ``IDENTITY_SCHEMA``, ``OPTIONAL`` and the list columns of ``ALTERNATIVES``.
    """
    lists: dict[str, list[pl.Series]] = {}
    for role, columns in role_columns(records.columns).items():
        lists.setdefault(ROLES[role].field, [])
        for column in columns:
            texts = records[column]
            lists[ROLES[role].field].append(_standardised(texts, role))
            if also := ROLES[role].also:
                lists[ROLES[role].field].append(_standardised(texts, role, also))
    values = {field: _one_list(columns) for field, columns in lists.items()}
    number = sources.rank("dense").cast(pl.Int16)
    others = {name: field for name, field in ALTERNATIVES.items() if field in values}
    frame = pl.DataFrame(
        {
            "record_key": keys,
            "source": number,
            "supplier": number,
            **{field: series.list.first() for field, series in values.items()},
            **{name: values[field].list.slice(1) for name, field in others.items()},
        }
    )
    absent = [pl.lit(None, dtype=pl.String).alias(n) for n in _TEXTS if n not in frame.columns]
    is_date = [c for c in ("birth_date", "other_birth_dates") if c in frame.columns]
    return (
        frame.with_columns(absent)
        .with_columns(
            pl.concat_str(number.alias("n"), "la_child_id", separator="|").alias("la_child_id"),
            *(_to_date(c) for c in is_date),
        )
        .select(*(pl.col(n).cast(t) for n, t in _TEXTS.items()), *others)
    )


def aliases(found: pl.DataFrame) -> pl.DataFrame:
    """Numbers that a record says were replaced: ``identifier``, ``former``, ``present``."""
    parts = [
        found.select(pl.col(others).alias("former"), pl.col(field).alias("present"))
        .explode("former", empty_as_null=False)
        .drop_nulls()
        .select(pl.lit(name).alias("identifier"), "former", "present")
        for name, field, others in (
            ("nhs", "nhs_number", "other_nhs_numbers"),
            ("upn", "upn", "other_upns"),
        )
        if others in found.columns
    ]
    schema = {"identifier": pl.String, "former": pl.String, "present": pl.String}
    together = pl.concat([pl.DataFrame(schema=schema), *parts])
    return together.group_by("identifier", "former").agg(pl.col("present").min()).sort(pl.all())


def role_columns(columns: list[str]) -> dict[str, list[str]]:
    """Columns of each role that is there: its own first, then those with a number."""
    found: dict[str, list[tuple[int, str]]] = {}
    for column in columns:
        match = re.fullmatch(r"(.*?)(?:_(\d+))?", column)
        if match and match[1] in ROLES:
            found.setdefault(match[1], []).append((int(match[2] or 0), column))
    ranked = sorted(found, key=lambda role: (ROLES[role].field, ROLES[role].rank))
    return {role: [name for _, name in sorted(found[role])] for role in ranked}


def _standardised(values: pl.Series, role: str, rule: Rule | None = None) -> pl.Series:
    """Lists of standardised texts, one for each record; by the role's rule, or another."""
    row = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
    frame = values.alias("value").to_frame().with_columns(row)
    if isinstance(values.dtype, pl.List | pl.Array):
        frame = frame.explode("value", empty_as_null=False)
    texts = _text(frame["value"], role)
    clean = per_distinct(texts, rule or _rule(role, texts)).replace("", None)
    known = pl.DataFrame({"row": frame["row"], "value": clean}).drop_nulls()
    if known["row"].is_duplicated().any():
        known = known.group_by("row", maintain_order=True).agg("value")
    else:
        known = known.with_columns(pl.concat_list("value"))
    every = pl.DataFrame({"row": pl.int_range(len(values), dtype=pl.UInt32, eager=True)})
    return every.join(known, on="row", how="left", maintain_order="left")["value"]


def _one_list(columns: list[pl.Series]) -> pl.Series:
    """The values of all columns, most current first, each once."""
    frame = pl.DataFrame([c.alias(str(n)) for n, c in enumerate(columns)])
    empty = pl.lit([], dtype=pl.List(pl.String))
    together = pl.concat_list(pl.all().fill_null(empty))
    return frame.select(together.list.unique(maintain_order=True).alias("v"))["v"]


def _text(values: pl.Series, role: str) -> pl.Series:
    """Texts as a person would write them: no ``.0`` after a number, ISO dates, null for NaN."""
    if values.dtype.is_nested():
        raise LinkedCypError(f"{role} holds neither texts nor lists of texts")
    if values.dtype.is_float():
        whole = values.fill_nan(None).cast(pl.Int64, strict=False)
        return whole.cast(pl.String)
    if isinstance(values.dtype, pl.Datetime):
        values = values.cast(pl.Date)
    if values.dtype == pl.Object:
        values = pl.Series([None if v is None or v != v else str(v) for v in values.to_list()])
    return values.cast(pl.String)


def _rule(role: str, texts: pl.Series) -> Rule:
    """The role's rule, or a wider one for data from elsewhere (see the module's docstring)."""
    field = ROLES[role].field
    if field == "birth_date":
        return _birth_date_rule(texts)
    if field in IDENTIFIERS:
        identifier = IDENTIFIERS[field]
        if _share(texts, lambda v: ~identifier.valid(v).fill_null(True)) > 0.5:
            return identifiers.standardise_id if field != "postcode" else _place
    return ROLES[role].rule


def _place(values: pl.Expr) -> pl.Expr:
    """A code of a place of another country: letters and digits in upper case."""
    text = identifiers.standardise_id(values).str.replace_all("[^A-Z0-9]", "")
    return pl.when(~text.str.contains("^(0*|9999+)$")).then(text)


def _birth_date_rule(texts: pl.Series) -> Rule:
    def impossible(rule: Rule) -> float:
        return _share(texts, lambda values: rule(values).is_null())

    day_first, month_first = _dates(*_DAY_FIRST), _dates(*_MONTH_FIRST)
    orders = [day_first, month_first, _dates("%Y-%d-%m", "%Y%d%m")]
    if impossible(month_first) < impossible(day_first):
        orders[:2] = month_first, day_first

    def rule(values: pl.Expr) -> pl.Expr:
        # A month above twelve is a day: what one order cannot read, another may.
        read = pl.coalesce(order(values) for order in orders)
        return identifiers.usable_birth_date(read).dt.strftime("%Y-%m-%d")

    return rule


def _dates(*formats: str) -> Rule:
    """Dates from ISO texts (with or without a time), YYYYMMDD and some formats."""

    def rule(values: pl.Expr) -> pl.Expr:
        text = values.str.strip_chars()
        digits = pl.when(text.str.contains("^[0-9]{8}$")).then(text)
        return pl.coalesce(
            (text.str.slice(0, 10) if re.search("[-./]", form) else digits).str.to_date(
                form, strict=False
            )
            for form in ("%Y-%m-%d", "%Y%m%d", *formats)
        )

    return rule


def _share(texts: pl.Series, condition: Rule) -> float:
    """Share of the distinct values for which a condition holds (0 without values)."""
    distinct = texts.drop_nulls().unique().alias("v").to_frame()
    return float(distinct.lazy().select(condition(pl.col("v")).mean()).collect().item() or 0.0)


def _to_date(column: str) -> pl.Expr:
    if column == "birth_date":
        return pl.col(column).str.to_date("%Y-%m-%d")
    return pl.col(column).list.eval(pl.element().str.to_date("%Y-%m-%d"))


def batches(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Some rows at a time, so that encoding's memory does not grow with the data."""
    for start in range(0, frame.height, BATCH):
        yield frame.slice(start, BATCH)
