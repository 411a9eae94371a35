"""What the tests of clerical review share."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from linked_cyp_tests.unit.linkage.linkage_population import population

PEOPLE = population(150, seed=11, twins=0.2)


def frame(con, query: str) -> pl.DataFrame:
    return con.execute(query).pl()


def drawn(con, sheet_id: str) -> pl.DataFrame:
    return frame(
        con, f"FROM linkage.main.review_pair WHERE sheet_id = '{sheet_id}' ORDER BY number"
    )


def write(path: Path, rows: list[str], header: str = "sheet,number,decision,note") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


# Sampling
