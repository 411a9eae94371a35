"""Hand-worked cases: who a child is, where it lives and with whom, as several feeds say it."""

from __future__ import annotations

from linked_cyp_tests.pipeline.world import World, day


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
    # Ilse: the spine has the death a month later than the register.
    death = "icb.2025-03.deaths_registration.accepted"
    known = {"sex_code": "1", "birth_month": day("2012-01-01")}
    world.add("pds_demographics__person", pds, "Ilse", death_month=day("2025-02-01"), **known)
    dead = {"row_id": 71, "is_latest": True, "death_month": day("2025-01-01"), **known}
    world.add("deaths_registration__death", death, "Ilse", **dead)
    # Ines: gender identity is male, sex is not known.
    world.add(
        "mhsds__patient",
        "icb.2025-04.mhsds.accepted",
        "Ines",
        submission_id=4,
        provider_code="R9M",
        sex_code="X",
        gender_identity_code="1",
        birth_month=day("2012-01-01"),
    )
    _homes(world)


def _homes(world: World) -> None:
    practice = "icb.2025-03-31.gp_olids.accepted"
    for number, place in enumerate((("E01000010", "E01033769"), ("E01000001", "E01000001"))):
        old, new = place
        world.add(
            "gp_olids__place",
            practice,
            place_id=70 + number,
            is_latest=True,
            lsoa11_code=old,
            lsoa21_code=new,
        )
    # Iona: home 501 twice on end, so one stay; the second registration of it lasts into the stay in
    # home 502, which began in May 2018 and ends the first. Ivor moved to 501 in that month: they
    # are together in Iona's first stay, not in the second. Isla's home was matched by mistake.
    address_number = iter(range(600, 700))
    for child, start, end, home, place, deleted in (
        ("Iona", "2016-02-10", "2018-04-20", 501, 70, False),
        ("Iona", "2017-01-03", "2019-03-01", 501, 70, False),
        ("Iona", "2018-05-20", None, 502, 71, False),
        ("Ivor", "2018-05-25", None, 501, 70, False),
        ("Isla", "2018-01-01", None, 502, 71, True),
    ):
        number = next(address_number)
        world.add(
            "gp_olids__patient_address",
            practice,
            child,
            address_id=number,
            place_id=place,
            address_start_date=day(start),
            address_end_date=day(end) if end else None,
        )
        world.add(
            "gp_olids__patient_uprn", practice, address_id=number, home_id=home, is_deleted=deleted
        )
    for child in ("Iona", "Isla", "Ivor"):
        born = {"birth_year": 2015, "birth_month_number": 6}
        world.add("gp_olids__patient", practice, child, sex_code="female", **born)


def school_rows() -> list[dict[str, object]]:
    """What ``linked_cyp.pseudonymise.reference`` found out about the schools of the deliveries."""
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
