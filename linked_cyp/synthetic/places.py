"""Invented places: local authorities, postcodes and schools, on real LSOA codes.

Postcodes use area letters that Royal Mail has not allocated, so none is a real address; the LSOA
codes are real (see ``parameters/README.md``) so that indices of deprivation can be joined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.synthetic.parameters import Parameters, Streams

INWARD_LETTERS = np.array(list("ABDEFGHJLNPQRSTUWXYZ"))
UNITS = 10 * len(INWARD_LETTERS) ** 2
DISTRICTS = 24


@dataclass(frozen=True)
class Places:
    """``areas`` are the local authorities in order, then one area for everywhere else.

    ``postcodes``: postcode_id, area, postcode, lsoa_code, decile, position (0 to 1, geography
    within the area), introduced and terminated (yyyymm). Rows of an area are contiguous.
    """

    areas: pl.DataFrame
    postcodes: pl.DataFrame

    @property
    def outside(self) -> int:
        return self.areas.height - 1

    def area_postcodes(self, area: int) -> pl.DataFrame:
        return self.postcodes.filter(pl.col("area") == area)


def build_places(
    parameters: Parameters, streams: Streams, *, authorities: int, households: int
) -> Places:
    """Choose the first ``authorities`` local authorities and give each its postcodes.

    Raises:
        LinkedCypError: more local authorities than the parameters describe.
    """
    table = parameters.local_authorities
    if not 1 <= authorities <= table.height:
        raise LinkedCypError(f"between 1 and {table.height} local authorities can be synthesised")
    outside = parameters.deliveries["outside"]
    areas = pl.concat(
        [
            table.head(authorities).with_columns(pl.col("weight").cast(pl.Float64)),
            pl.DataFrame({**outside, "name": "Elsewhere", "slug": "elsewhere"}),
        ],
        how="diagonal",
    ).with_row_index("area")
    rng = streams("postcodes")
    settings = parameters.population["addresses"]
    weights = table.head(authorities)["weight"].to_numpy()
    shares = np.append(weights / weights.sum(), 0.25)
    wanted = np.maximum(
        settings["least_postcodes"], shares * households / settings["households_per_postcode"]
    ).astype(int)
    frames = [
        _postcodes(rng, parameters, area, areas["postcode_area"][area], int(count))
        for area, count in enumerate(wanted)
    ]
    postcodes = pl.concat(frames).with_row_index("postcode_id")
    return Places(areas, postcodes)


def _postcodes(
    rng: np.random.Generator, parameters: Parameters, area: int, letters: str, count: int
) -> pl.DataFrame:
    lsoas = parameters.lsoas.gather_every(
        parameters.local_authorities.height + 1, offset=area
    ).with_row_index("order")
    units = np.sort(rng.choice(DISTRICTS * UNITS, size=count, replace=False))
    district, unit = units // UNITS + 1, units % UNITS
    first, last = np.divmod(unit % len(INWARD_LETTERS) ** 2, len(INWARD_LETTERS))
    sector = unit // len(INWARD_LETTERS) ** 2
    text = [
        f"{letters}{d} {s}{a}{b}"
        for d, s, a, b in zip(
            district, sector, INWARD_LETTERS[first], INWARD_LETTERS[last], strict=True
        )
    ]
    order = (np.arange(count) * lsoas.height // count).astype(np.uint32)
    closed = rng.random(count) < parameters.population["addresses"]["terminated_postcodes"]
    year = rng.integers(2016, 2024, count)
    return pl.DataFrame(
        {
            "area": np.full(count, area, dtype=np.uint32),
            "postcode": text,
            "order": order,
            "position": (np.arange(count) + 0.5) / count,
            "introduced": np.where(rng.random(count) < 0.8, "198001", "200306"),
            "terminated": pl.Series(np.char.add(year.astype(str), "06")).set(
                pl.Series(~closed), None
            ),
        }
    ).join(
        lsoas.select("order", "lsoa_code", decile="imd2025_decile", rank="imd2019_rank"),
        on="order",
        how="left",
        maintain_order="left",
    )


def reference_postcodes(places: Places) -> pl.DataFrame:
    """The postcode directory, in the column layout of the ONS Postcode Directory."""
    numbered = places.postcodes.join(
        places.areas.select("area", oslaua="ons_code"), on="area", how="left", maintain_order="left"
    )
    msoa = pl.format(
        "E02{}{}",
        pl.col("oslaua").str.slice(6, 3),
        (pl.col("order") // 5 + 1).cast(pl.String).str.zfill(3),
    )
    return numbered.select(
        pcd=pl.col("postcode").str.replace(" ", "").str.pad_start(7, " "),
        pcds="postcode",
        dointr="introduced",
        doterm="terminated",
        oslaua="oslaua",
        lsoa11="lsoa_code",
        lsoa21="lsoa_code",
        msoa11=msoa,
        msoa21=msoa,
        oseast1m=(
            400_000
            + pl.col("area").cast(pl.Int64) * 20_000
            + (pl.col("position") * 18_000).cast(pl.Int64)
        ),
        osnrth1m=(300_000 + pl.col("order").cast(pl.Int64) * 137),
        imd="rank",
    )


def reference_establishments(schools: pl.DataFrame) -> pl.DataFrame:
    """The list of establishments, in the layout of Get Information about Schools.

    Args:
        schools: of :class:`linked_cyp.synthetic.education.Education`.
    """
    kinds = pl.DataFrame(
        [
            ("primary", "Primary", "Local authority maintained schools", 4, 11),
            ("secondary", "Secondary", "Academies", 11, 18),
            ("special", "Not applicable", "Special schools", 4, 18),
            ("alternative", "Not applicable", "Local authority maintained schools", 5, 16),
        ],
        schema=["kind", "phase", "group", "low", "high"],
        orient="row",
    )
    return schools.join(kinds, on="kind", how="left", maintain_order="left").select(
        pl.col("urn").alias("URN"),
        pl.col("authority").alias("LA (code)"),
        pl.col("estab").alias("EstablishmentNumber"),
        pl.col("name").alias("EstablishmentName"),
        pl.col("group").alias("EstablishmentTypeGroup (name)"),
        pl.lit("Open").alias("EstablishmentStatus (name)"),
        pl.col("phase").alias("PhaseOfEducation (name)"),
        pl.col("low").alias("StatutoryLowAge"),
        pl.col("high").alias("StatutoryHighAge"),
    )
