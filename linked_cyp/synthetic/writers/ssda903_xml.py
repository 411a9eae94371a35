"""The looked-after children return as one XML file (CLA schema 3.3.0), social workers as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from linked_cyp.contracts.model import Contract
from linked_cyp.ingest.readers.ssda903 import IN_HEADER, ROOT
from linked_cyp.synthetic.writers.delivery import (
    Sent,
    Written,
    csv_bytes,
    located,
    native_table,
    write_files,
)

# Fields in the schema's order. Those that it requires are written even when they are blank.
FIRST = ("CHILDID", "UPN", "SEX", "DOB", "ETHNIC", "UASC")
LATER = ("DUC", *IN_HEADER["AD1"], *IN_HEADER["OC3"])
EPISODE = (
    *("DECOM", "RNE", "LS", "CIN", "PL", "PL_POST", "HOME_POST", "URN", "PLACE_PROVIDER"),
    *("DEC", "REC", "REASON_PLACE_CHANGE"),
)
REQUIRED = {*FIRST, "DECOM", "RNE", "LS", "CIN", "PL", "DEC", "REC"}
# Our table of each element inside HEADER, before and after the mother's fields.
BEFORE = {"AMISSING": "missing", "AREVIEW": "reviews"}
AFTER = {"PERMANENCE": "previous_permanence", "OC2": "oc2", "AD_PLACED": "placed_for_adoption"}
OF_THE_CHILD = ("CHILD", "DOB")


def write_xml_return(
    landing: Path, contract: Contract, sent: Sent, rng: np.random.Generator
) -> Written:
    """Write the return as XML; what the schema lacks goes into a CSV file beside it.

    Rows are in the order of the header's children, which is the order a reader meets them in.
    ``rng`` is not used: only a corrected return comes in this form, and it has no faults.
    """
    in_force = contract.at(contract.collection_year(sent.period))
    order = sent.tables["header"]["CHILD"].to_list()
    native: dict[str, pl.DataFrame] = {}
    records = []
    for name, frame in sent.tables.items():
        table = in_force.tables.get(name)
        if table is None or not (frame.height or table.required):
            continue
        rank = frame["CHILD"].replace_strict(order, range(len(order)), return_dtype=pl.Int64)
        ordered = frame.with_columns(_rank=rank).sort("_rank", maintain_order=True).drop("_rank")
        native[name], truth = native_table(table, ordered, sent)
        records.append(located(sent, name, truth))
    workers = native.pop("social_worker", pl.DataFrame())
    files: dict[str, tuple[bytes, int | None]] = {
        f"SSDA903_{sent.period}.xml": (_document(native).encode("utf-8"), None)
    }
    if workers.height:
        name = sent.style.file_name(sent.names["social_worker"])
        files[name] = (csv_bytes(workers, sent.style.encoding), workers.height)
    return Written(
        records=pl.concat(records),
        faults=located(
            sent, "episodes", pl.DataFrame(schema={"fault": pl.String, "row_number": pl.Int64})
        ),
        rows=sum(frame.height for frame in native.values()) + workers.height,
        size=write_files(landing, sent, files),
    )


def _document(tables: dict[str, pl.DataFrame]) -> str:
    children = tables["header"].rename({"CHILD": "CHILDID"})
    for name, physical in (("uasc", "UASC"), ("ad1", "AD1"), ("oc3", "OC3")):
        frame = tables.get(name, pl.DataFrame(schema={"CHILD": pl.String}))
        told = [c for c in IN_HEADER[physical] if c in frame.columns]
        flag = [pl.lit("1").alias("UASC")] if name == "uasc" else []
        children = children.join(
            frame.select(pl.col("CHILD").alias("CHILDID"), *told, *flag),
            on="CHILDID",
            how="left",
            maintain_order="left",
        )
    children = children.with_columns(pl.col("UASC").fill_null("0"))
    for element, name in (*BEFORE.items(), *AFTER.items(), ("EPISODE", "episodes")):
        children = children.join(
            _elements(tables.get(name), element), on="CHILDID", how="left", maintain_order="left"
        )
    lines = children.select(
        pl.concat_str(
            pl.lit("<CHILD><HEADER>"),
            *_fields((*FIRST, *LATER), children.columns),
            *(pl.col(f"_{element}").fill_null("") for element in BEFORE),
            *_fields(("MOTHER", "MC_DOB"), children.columns),
            *(pl.col(f"_{element}").fill_null("") for element in AFTER),
            pl.lit("</HEADER>"),
            pl.col("_EPISODE").fill_null(""),
            pl.lit("</CHILD>"),
        )
    ).to_series()
    start = f'<?xml version="1.0" encoding="utf-8"?>\n<{ROOT}>\n'
    return start + "\n".join(lines) + f"\n</{ROOT}>\n"


def _elements(frame: pl.DataFrame | None, element: str) -> pl.DataFrame:
    """Each row as one element, those of a child joined: CHILDID, ``_<element>``."""
    if frame is None:
        return pl.DataFrame(schema={"CHILDID": pl.String, f"_{element}": pl.String})
    frame = frame.rename({"PLACE": "PL"}) if element == "EPISODE" else frame
    names = EPISODE if element == "EPISODE" else frame.columns
    wanted = [name for name in names if name not in OF_THE_CHILD]
    row = pl.concat_str(
        pl.lit(f"<{element}>"), *_fields(wanted, frame.columns), pl.lit(f"</{element}>")
    )
    return (
        frame.select(pl.col("CHILD").alias("CHILDID"), row.alias(f"_{element}"))
        .group_by("CHILDID", maintain_order=True)
        .agg(pl.col(f"_{element}").str.join(""))
    )


def _fields(names: Sequence[str], present: Sequence[str]) -> list[pl.Expr]:
    """``<NAME>text</NAME>`` of each field; a blank one is left out unless it is required."""
    fields = []
    for name in (n for n in names if n in present):
        text = pl.col(name).str.replace_all("&", "&amp;").str.replace_all("<", "&lt;")
        filled = pl.concat_str(pl.lit(f"<{name}>"), text.fill_null(""), pl.lit(f"</{name}>"))
        needed = pl.lit(name in REQUIRED) | pl.col(name).is_not_null()
        fields.append(pl.when(needed).then(filled).otherwise(pl.lit("")))
    return fields
