"""One delivery as a supplier sends it: native files, deliberate faults, sometimes a manifest.

Tables come as frames whose columns carry the supplier's own names (``physicalName`` in the
contract). The contract in force decides which columns are written and in what order; a declared
column that the population does not model is written empty.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from linked_cyp.contracts.model import Contract, Table
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.synthetic.errors import plain_letters
from linked_cyp.synthetic.world import World

PERSON, LOCAL_ID = "_person_id", "_local_id"
# impossible dates, as they are typed by hand
BAD_DATES = ("31/02/2024", "00/00/0000", "not known", "2024-13-45", "12/2O/2023")


@dataclass(frozen=True)
class Style:
    """How one supplier's software writes values and names files; ``zipped`` names the one zip file
    that holds them all."""

    date: str
    true: str = "1"
    false: str = "0"
    integer_suffix: str = ""
    encoding: str = "utf-8"
    manifest: bool = False
    file_name: Callable[[str], str] = "{}.csv".format
    zipped: str | None = None


@dataclass(frozen=True)
class Sent:
    """A delivery to be written.

    ``tables`` is keyed by the contract's table name. An empty frame
    is left out unless the contract requires its table. A frame may carry ``_person_id`` (the true
    person of each row) and ``_local_id``; they are taken off into the truth. ``headers`` gives
    other column names a supplier uses for a table, ``names`` other file stems, ``delimiters``
    others than the contract's. ``write`` is what writes it where the form is not one delimited
    file for each table.
    """

    feed: str
    supplier: str
    period: str
    tables: Mapping[str, pl.DataFrame]
    style: Style
    produced: str
    version: str | None = None
    headers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    delimiters: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, Any] | None = None
    write: Write | None = None

    @property
    def folder(self) -> str:
        return f"{self.period}__v{self.version}" if self.version else self.period


@dataclass(frozen=True)
class Written:
    """What the truth keeps of a delivery: ``records`` and ``faults`` by table and row number."""

    records: pl.DataFrame
    faults: pl.DataFrame
    rows: int
    size: int


Write = Callable[[Path, Contract, Sent, np.random.Generator], Written]
NO_RECORDS = {
    **dict.fromkeys(("feed", "supplier", "period", "version", "table"), pl.String),
    **{"row_number": pl.Int64, "person_id": pl.Int64, "local_id": pl.String},
}


def returns(world: World, rules: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Authority and year of each yearly return: the last year in full, earlier ones in part."""
    authorities = range(world.places.outside)
    for year in world.years:
        earlier = year < world.years[-1]
        for area in authorities[: rules["earlier_years_from_first"]] if earlier else authorities:
            yield area, year


def monthly(world: World, rules: Mapping[str, Any]) -> list[str]:
    """The months named for the last year, after one March for each earlier year."""
    last = world.years[-1]
    return [f"{year}-03" for year in world.years[:-1]] + [
        f"{last if month <= 3 else last - 1}-{month:02d}" for month in rules["months"]
    ]


def write_delivery(
    landing: Path, contract: Contract, sent: Sent, rng: np.random.Generator
) -> Written:
    """Write every table of a delivery to ``landing/<supplier>/<feed>/<period>/``.

    Raises:
        LinkedCypError: a frame holds a column, or lacks a required one, that the contract of the
            collection year does not know.
    """
    in_force = contract.at(contract.collection_year(sent.period))
    records, faults, files = [pl.DataFrame(schema=NO_RECORDS)], [], {}
    for name, frame in sent.tables.items():
        table = in_force.tables.get(name)
        if table is None or not (frame.height or table.required):
            continue
        native, truth = native_table(table, frame, sent)
        native, truth, broken = _break_rows(sent, name, native, truth, rng)
        stem = sent.names.get(name, table.physical_name)
        delimiter = sent.delimiters.get(name, contract.delimiter)
        content = csv_bytes(native, sent.style.encoding, delimiter)
        files[sent.style.file_name(stem)] = (content, native.height)
        faults.append(located(sent, name, broken))
        if table.person_key:
            records.append(located(sent, name, truth))
    rows = sum(count for _, count in files.values())
    if sent.style.zipped:
        members = {name: content for name, (content, _) in files.items()}
        size = write_files(landing, sent, {sent.style.zipped: (_zip(members), rows)})
    else:
        size = write_files(landing, sent, files)
    return Written(pl.concat(records), pl.concat(faults), rows, size)


def _zip(members: Mapping[str, bytes]) -> bytes:
    """A zip file that is the same every time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def write_files(landing: Path, sent: Sent, files: Mapping[str, tuple[bytes, int | None]]) -> int:
    """Write a delivery's files and any manifest; returns bytes.

    ``files`` maps a name to its content and data rows (None where the manifest is silent: an XML
    file holds many tables).
    """
    folder = landing / sent.supplier / sent.feed / sent.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    if sent.style.manifest:
        _write_manifest(folder, sent, files)
    return sum(len(content) for content, _ in files.values())


def _write_manifest(
    folder: Path, sent: Sent, files: Mapping[str, tuple[bytes, int | None]]
) -> None:
    manifest = {
        "supplier": sent.supplier,
        "feed": sent.feed,
        "period": sent.period,
        "version": sent.version or "1",
        "produced": sent.produced,
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest()}
            | ({} if rows is None else {"rows": rows})
            for name, (content, rows) in files.items()
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def native_table(
    table: Table, frame: pl.DataFrame, sent: Sent
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The table as text, in contract order with the supplier's headers; and its rows' truth."""
    older = [name for c in table.columns for name in c.aliases if name in frame.columns]
    known = {c.physical_name for c in table.columns} | set(older)
    unknown = set(frame.columns) - known - {PERSON, LOCAL_ID}
    lacking = {c.physical_name for c in table.columns if c.required} - set(frame.columns)
    if unknown or lacking:
        raise LinkedCypError(
            f"{table.table_name}: the synthetic table does not fit the contract: "
            f"unknown columns {sorted(unknown)}, missing {sorted(lacking)}"
        )
    style = sent.style
    headers = sent.headers.get(table.name, {})
    columns = [
        _as_text(frame, column.physical_name, style).alias(
            headers.get(column.physical_name, column.physical_name)
        )
        for column in table.columns
    ]
    columns += [_as_text(frame, name, style).alias(name) for name in older]
    columns += [pl.lit(None, dtype=pl.String).alias(name) for name in table.not_taken]
    truth = pl.DataFrame(
        {
            "person_id": frame[PERSON] if PERSON in frame.columns else [None] * frame.height,
            "local_id": frame[LOCAL_ID] if LOCAL_ID in frame.columns else [None] * frame.height,
        },
        schema={"person_id": pl.Int64, "local_id": pl.String},
    )
    return frame.select(columns), truth


def _as_text(frame: pl.DataFrame, name: str, style: Style) -> pl.Expr:
    if name not in frame.columns:
        return pl.lit(None, dtype=pl.String)
    kind = frame.schema[name]
    column = pl.col(name)
    if kind == pl.Date:
        return column.dt.strftime(style.date)
    if kind == pl.Boolean:
        return pl.when(column).then(pl.lit(style.true)).when(~column).then(pl.lit(style.false))
    if kind.is_integer():
        return column.cast(pl.String) + style.integer_suffix
    return column.cast(pl.String)


def _break_rows(
    sent: Sent,
    name: str,
    native: pl.DataFrame,
    truth: pl.DataFrame,
    rng: np.random.Generator,
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Spoil a few rows as deliveries.yaml says; returns the rows spoiled and how."""
    rules = sent.faults or {}
    broken: list[tuple[int, str]] = []
    if rules.get("table") == name and native.height >= 20:

        def some(rate: float) -> np.ndarray:
            wanted = max(1, round(rate * native.height))
            taken = {row for row, _ in broken}
            free = np.array([r for r in range(native.height) if r not in taken])
            return np.sort(rng.choice(free, size=min(wanted, len(free)), replace=False))

        for fault, (column, rate) in (
            ("unparseable_date", rules["unparseable_date"]),
            ("missing_key", rules["missing_key"]),
        ):
            values = native[column].to_list()
            for row in some(rate):
                bad = BAD_DATES[int(rng.integers(len(BAD_DATES)))]
                values[row] = bad if fault == "unparseable_date" else None
                broken.append((int(row), fault))
            native = native.with_columns(pl.Series(column, values, dtype=pl.String))
        if "duplicate_row" in rules:
            repeated = some(rules["duplicate_row"])
            start = native.height
            native = pl.concat([native, native[repeated.tolist()]])
            truth = pl.concat([truth, truth[repeated.tolist()]])
            broken += [(start + i, "duplicate_row") for i in range(len(repeated))]
    frame = pl.DataFrame(sorted(broken), schema={"row": pl.Int64, "fault": pl.String}, orient="row")
    return native, truth, frame.select("fault", row_number=pl.col("row") + 1)


def located(sent: Sent, table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Truth rows with the delivery and the row number (1-based, header not counted)."""
    if "row_number" not in frame.columns:
        frame = frame.with_columns(row_number=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
    return frame.select(
        feed=pl.lit(sent.feed),
        supplier=pl.lit(sent.supplier),
        period=pl.lit(sent.period),
        version=pl.lit(sent.version or "1"),
        table=pl.lit(table),
        row_number="row_number",
        **{c: c for c in frame.columns if c != "row_number"},
    )


def csv_bytes(native: pl.DataFrame, encoding: str, delimiter: str = ",") -> bytes:
    """CSV bytes; letters an old encoding lacks lose their marks, as in software that uses it."""
    text = native.write_csv(line_terminator="\r\n", separator=delimiter)
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        lacking = {c for c in set(text) if not c.encode(encoding, errors="ignore")}
        return text.translate({ord(c): plain_letters(c) for c in lacking}).encode(
            encoding, errors="replace"
        )


def with_faults(sent: Sent, parameters: Mapping[str, Any]) -> Sent:
    """The delivery with the faults that the parameters give its feed (a correction has none)."""
    if sent.version is not None:
        return sent
    return replace(sent, faults=parameters["faults"].get(sent.feed))
