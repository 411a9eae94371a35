"""Tables of counts as they may be put before an output checker."""

from __future__ import annotations

import polars as pl

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.research.names import unknown


def rounded_counts(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """The frame with these counts rounded to 5 and those from 1 to 9 left empty.

    It does not make a table safe alone: totals, shares and a second table with other groups can
    still give a small number away, and shares have to be worked out from the rounded counts.

    Args:
        frame: one row per group.
        columns: its columns of counts, whole numbers.

    Raises:
        LinkedCypError: there is no such column, or it holds no counts.
    """
    from linked_cyp.core.disclosure import rounded

    for column in columns:
        if column not in frame.columns:
            raise LinkedCypError(unknown("column", column, frame.columns))
        if not frame.schema[column].is_integer():
            raise LinkedCypError(f"{column} holds no counts: {frame.schema[column]}")
    return frame.with_columns(
        pl.col(column).map_elements(rounded, return_dtype=pl.Int64) for column in columns
    )
