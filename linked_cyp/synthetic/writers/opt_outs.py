"""The lists of who opted out: the national service's reply, general practice, our own.

A row that cannot be read refuses a whole list, so no row is broken. They are as untidy as such
lists are: numbers in groups and twice, codes of two terminologies, flags in several spellings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from linked_cyp.contracts.model import Contract
from linked_cyp.synthetic.opt_outs import OptOuts, build_opt_outs
from linked_cyp.synthetic.parameters import date_column
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import NO_RECORDS, Sent, Style, Written, write_files

# SNOMED CT, and Read version 2 in practices that never recoded their entries.
DISSENT, WITHDRAWAL = ("827241000000103", "9Nu0."), ("827261000000102", "9Nu1.")
NO, YES = ("FALSE", "false", "0", "N"), ("TRUE", "true", "1", None)
KEEPER = "linked_data_service"


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """One list of each kind, of the day of the spine's snapshot."""
    for make in (national_data_opt_out, type1_opt_out, local_objection):
        yield partial(make, world)


def national_data_opt_out(world: World) -> Sent:
    """The numbers in use that remain; one that was replaced does not come back."""
    gone = world.part(build_opt_outs).national["person_id"]
    remaining = world.population.persons.filter(~pl.col("person_id").is_in(gone.implode()))
    table = remaining.select(pl.col("nhs_number").alias("NHS Number")).sort("NHS Number")
    sent = _sent(world, "national_data_opt_out", {"remaining": table})
    return Sent(**{**vars(sent), "write": _write_reply})


def type1_opt_out(world: World) -> Sent:
    """Dissents and withdrawals, and the inverted flags that some practices give."""
    made = world.part(build_opt_outs)
    events = _with_numbers(world, made.type_1)
    ended = events.filter(pl.col("ended").is_not_null())
    rows = [
        frame.select(
            "nhs_number",
            _spelt(codes, pl.int_range(pl.len()) // 3).alias("concept_code"),
            date_column("recorded_date", frame[day].to_numpy()),
        )
        for frame, codes, day in ((events, DISSENT, "day"), (ended, WITHDRAWAL, "ended"))
    ]
    tables = {"status": pl.concat(rows).sort("recorded_date"), "gp_flag": _flags(world, made)}
    return _sent(world, "type1_opt_out", tables)


def local_objection(world: World) -> Sent:
    """A row for each number that somebody gave with an objection."""
    rules, rng = world.parameters.part("opt_outs"), world.streams("objections")
    made = _with_numbers(world, world.part(build_opt_outs).objections)
    slugs = dict(world.places.areas.select("area", "slug").iter_rows())
    social_care = world.registrations.social_care.unique("person_id", maintain_order=True)
    local = social_care.select(
        "person_id",
        la_child=pl.coalesce("reissued_local_id", "child_local_id"),
        authority=pl.col("area").replace_strict(slugs, return_dtype=pl.String),
    )
    pupils = world.education.pupils.select("person_id", "upn")
    known = made.join(local, on="person_id", how="left", maintain_order="left").join(
        pupils, on="person_id", how="left", maintain_order="left"
    )
    rows = []
    for person in known.iter_rows(named=True):
        numbers = {
            "nhs": person["nhs_number"],
            "upn": person["upn"],
            "la_child": person["la_child"],
        }
        schemes = [scheme for scheme, number in numbers.items() if number]
        more = rng.random() < rules["objection_other_number"]
        for scheme in rng.permutation(schemes)[: 2 if more else 1].tolist():
            place = person["authority"] if scheme == "la_child" else None
            scope = "research" if rng.random() < 0.5 else "all"
            rows.append((numbers[scheme], scheme, place, scope, person["day"], person["ended"]))
    columns = ("subject_ref", "scheme", "authority", "scope", "day", "ended")
    kinds = {c: pl.Int64 if c in ("day", "ended") else pl.String for c in columns}
    frame = pl.DataFrame(rows, schema=kinds, orient="row")
    standing = frame["ended"].is_null().to_numpy()
    table = frame.select(
        "subject_ref",
        "scheme",
        "authority",
        "scope",
        date_column("received_date", frame["day"].to_numpy()),
        date_column("withdrawn_date", frame["ended"].fill_null(0).to_numpy(), standing),
    )
    return _sent(world, "local_objection", {"objection": table}, supplier=KEEPER)


def write_settings(home: Path, world: World) -> None:
    """``opt_outs.toml`` of an invented home, unless there is one: its lists never grow old."""
    path = home / "opt_outs.toml"
    if not path.exists():
        path.write_text(world.parameters.part("opt_outs")["settings"], encoding="utf-8")


def _flags(world: World, made: OptOuts) -> pl.DataFrame:
    dissents = made.type_1.filter(pl.col("ended").is_null())["person_id"]
    national = made.national["person_id"]
    flagged = _with_numbers(world, made.flags)

    def flag(gone: pl.Series) -> pl.Expr:
        """The flags are inverted: no is an opt-out; others are yes or, as often, empty."""
        is_out = pl.col("person_id").is_in(gone.implode())
        said, which = pl.col("person_id") % 2 == 0, pl.col("person_id") // 2
        return pl.when(is_out).then(_spelt(NO, which)).when(said).then(_spelt(YES, which))

    return flagged.select(
        "nhs_number",
        flag(dissents).alias("is_consent_93c1"),
        flag(national).alias("is_national_data_opted_in"),
    )


def _spelt(spellings: Sequence[str | None], which: pl.Expr) -> pl.Expr:
    """One of several spellings by a number."""
    spelt = dict(enumerate(spellings))
    return (which % len(spelt)).replace_strict(spelt, return_dtype=pl.String)


def _with_numbers(world: World, frame: pl.DataFrame) -> pl.DataFrame:
    numbers = world.population.persons.select("person_id", "nhs_number")
    return frame.join(numbers, on="person_id", how="left", maintain_order="left")


def _sent(
    world: World, feed: str, tables: dict[str, pl.DataFrame], supplier: str | None = None
) -> Sent:
    day = str(np.datetime64(world.snapshot, "D"))
    return Sent(
        feed=feed,
        supplier=supplier or world.parameters.deliveries["nhs_supplier"],
        period=day,
        produced=f"{day}T03:00:00",
        tables=tables,
        style=Style(date="%Y-%m-%d"),
    )


def _write_reply(
    landing: Path, contract: Contract, sent: Sent, rng: np.random.Generator
) -> Written:
    """One number on a line, each with a comma behind it and without a header; some in groups, and
    the first again at the end."""
    numbers = sent.tables["remaining"]["NHS Number"]
    numbers = pl.concat([numbers, numbers.head(1)])
    said = [f"{n[:3]} {n[3:6]} {n[6:]}" if place % 7 == 3 else n for place, n in enumerate(numbers)]
    content = "".join(f"{number},\r\n" for number in said).encode()
    size = write_files(landing, sent, {"NDOO_reply.csv": (content, numbers.len())})
    texts = dict.fromkeys(("feed", "supplier", "period", "version", "table"), pl.String)
    return Written(
        pl.DataFrame(schema=NO_RECORDS),
        pl.DataFrame(schema={**texts, "row_number": pl.Int64, "fault": pl.String}),
        numbers.len(),
        size,
    )
