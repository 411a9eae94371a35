"""Reference data that the operator supplies: the postcode directory.

The Office for National Statistics publishes the ONS Postcode Directory (ONSPD) and the National
Statistics Postcode Lookup (NSPL) as CSV. Column names changed in 2025; both are read.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from linked_cyp.errors import LinkedCypError, value_free
from linked_cyp.identifiers import standardise_postcode

# Our column, and what the publications have called it: ONSPD, NSPL, and both since 2025.
_COLUMNS = {
    "postcode": ("pcds",),
    "lsoa11_code": ("lsoa11", "lsoa11cd"),
    "lsoa21_code": ("lsoa21", "lsoa21cd"),
    "la_code": ("oslaua", "laua", "lad"),
}
# ONS writes 99999999 where a place has no such area (Channel Islands, Isle of Man).
_NO_AREA = "99999999$"


def load_postcodes(path: Path) -> pl.DataFrame:
    """Read ONSPD or NSPL: where each postcode lies.

    Returns:
        One row per postcode: ``postcode`` (standardised), ``lsoa11_code``, ``lsoa21_code``,
        ``la_code`` (local authority district), all text; null where there is no such area.

    Raises:
        LinkedCypError: the file is missing, is not CSV, or lacks a column (named).
    """
    if not path.is_file():
        raise LinkedCypError(
            f"there is no postcode directory {path}: put the ONSPD or NSPL CSV there"
        )
    with value_free(f"reading the postcode directory {path.name}"):
        # Codes and postcodes are ASCII; place names in other columns need not be valid UTF-8.
        frame = pl.scan_csv(path, infer_schema=False, encoding="utf8-lossy")
        chosen = _chosen(frame.collect_schema().names(), path.name)
        codes = [
            pl.when(~pl.col(code).str.contains(_NO_AREA) & (pl.col(code) != "")).then(code)
            for code in _COLUMNS
            if code != "postcode"
        ]
        return (
            frame.select(pl.col(theirs).str.strip_chars().alias(ours) for ours, theirs in chosen)
            .with_columns(standardise_postcode(pl.col("postcode")), *codes)
            .filter(pl.col("postcode").is_not_null())
            .unique("postcode", keep="first", maintain_order=True)
            .select("postcode", "lsoa11_code", "lsoa21_code", "la_code")
            .collect()
        )


def _chosen(header: list[str], file: str) -> list[tuple[str, str]]:
    """Our columns and the header's names for them (``lad25cd`` is ``lad`` of 2025)."""
    plain = {re.sub(r"^lad\d\dcd$", "lad", name.strip().lower()): name for name in header}
    chosen = []
    for ours, theirs in _COLUMNS.items():
        found = [plain[name] for name in theirs if name in plain]
        if not found:
            written = " or ".join(theirs).replace("or lad", "or lad25cd")
            raise LinkedCypError(f"the postcode directory {file} has no column {written}")
        chosen.append((ours, found[0]))
    return chosen
