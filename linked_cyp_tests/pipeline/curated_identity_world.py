"""Hand-worked cases: who a child is, where it lives and with whom, as several feeds say it."""

from __future__ import annotations

from linked_cyp_tests.pipeline.curated_world import World, day


def add_identity_cases(world: World) -> None:
    world.reference["establishment"] += school_rows()
    old, new = "acton.2024.ssda903.accepted", "acton.2025.ssda903.accepted"
    sus, pds = "icb.2024-06.sus_apc.accepted", "icb.2025-03-31.pds_demographics.accepted"
    # Una: F in two yearly returns, M in four spells of one year: a feed counts once a year, so F.
    # WIRT in social care is B in no hospital: the hospital's C is other White (WOTH), once.
    for delivery, code in ((old, "2"), (new, "F")):
        world.add("ssda903__header", delivery, "Una", sex_code=code, ethnicity_code=" wirt ")
    for number in range(4):
        world.add(
            "sus_apc__spell",
            sus,
            "Una",
            spell_id=950 + number,
            sex_code="1",
            ethnicity_code="C",
            admission_date=day("2024-06-10"),
            admission_method_code="21",
        )
    # Vic lives in an area of 2021 that is none of 2011 and came from one that ended: E01033769 has
    # IMD 2025 decile 4, E01000010 has IMD 2019 decile 3, and neither is in the other index.
    world.add("pds_demographics__person", pds, "Vic", sex_code="1", birth_month=day("2014-03-01"))
    world.add(
        "pds_demographics__address",
        pds,
        "Vic",
        address_from_date=day("2014-03-09"),
        lsoa21_code="E01033769",
        lsoa11_code="E01000010",
    )


def school_rows() -> list[dict[str, object]]:
    """What ``linked_cyp.reference`` found out about the schools of the deliveries."""
    of_acton = {"feed": "school_census", "supplier": "acton"}
    return [
        {
            **of_acton,
            "school_id": 7,
            "phase": "Primary",
            "type_group": "Academies",
            "lowest_age": 4,
        },
        {**of_acton, "school_id": 8, "type_group": "Special schools", "highest_age": 19},
    ]
