"""Hand-worked cases of contacts, early help, placements, care leavers and health in care.

One authority with looked-after returns of 2024 and 2025, a census of 2025 and two safeguarding
extracts, of which the newer counts.
"""

from __future__ import annotations

from typing import Any

from linked_cyp_tests.pipeline.world import World, day

AUTHORITY = "dalton"


def add_care_cases(world: World) -> None:
    returns = {year: world.deliver("ssda903", AUTHORITY, str(year), year) for year in (2024, 2025)}
    extracts = [world.deliver("ssd", AUTHORITY, on, 2025) for on in ("2024-12-31", "2025-03-31")]
    _before_a_referral(world, *extracts)
    _placed(world, returns, extracts[1])
    _after_care(world, returns)


def _before_a_referral(world: World, older: str, newer: str) -> None:
    census = world.deliver("cin_census", AUTHORITY, "2025", 2025)

    def contact(child: str, on: str, extract: str = newer) -> None:
        number = len(world.rows["ssd__contacts"]) + 1
        world.add(
            "ssd__contacts",
            extract,
            child,
            contact_id=number,
            contact_date=day(on),
            contact_source_code="6",
        )

    def helped(child: str, start: str, end: str | None) -> None:
        world.add(
            "ssd__early_help_episodes",
            newer,
            child,
            early_help_episode_id=len(world.rows["ssd__early_help_episodes"]) + 1,
            early_help_start_date=day(start),
            early_help_end_date=day(end) if end else None,
        )

    def attended(child: str, on: str, category: str = "1") -> None:
        world.add(
            "sus_ecds__attendance",
            "dalton_icb.2024-06.sus_ecds.accepted",
            child,
            attendance_id=90_000 + len(world.rows["sus_ecds__attendance"]),
            provider_code="RDD",
            arrival_date=day(on),
            department_type_code="01",
            attendance_category_code=category,
        )

    world.deliver("sus_ecds", "dalton_icb", "2024-06", 2025)
    for child, birth in (("Cora", "2014-05-01"), ("Fern", "2024-05-01")):
        world.add("cin_census__child_identifiers", census, child, birth_month=day(birth))
    # Cora: the contact of December is nobody's any more; the one of 1 March led to the referral of
    # the 10th, the one of October to none, and that of January 2023 lies more than a year before.
    contact("Cora", "2023-12-05", older)
    for on in ("2024-03-01", "2023-10-01", "2023-01-15"):
        contact("Cora", on)
    helped("Cora", "2023-01-10", "2023-04-10")  # ends within the year before the referral
    helped("Cora", "2024-09-01", "2024-08-01")  # ends before it starts: no known end
    helped("Cora", "2025-01-05", None)
    for number, on in ((71, "2024-03-10"), (72, "2024-11-01")):
        world.add(
            "cin_census__cin_details",
            census,
            "Cora",
            cin_details_id=number,
            referral_date=day(on),
            primary_need_code="N1",
        )
    # Cora's plan after the first referral, and one whose end is before its start; Fern's begins in
    # the month of birth, which shows no day.
    for child, number, referral, start, end in (
        ("Cora", 1, 71, "2024-04-01", "2024-08-01"),
        ("Cora", 2, 72, "2024-11-20", "2024-11-01"),
        ("Fern", 3, None, "2024-05-20", None),
    ):
        world.add(
            "cin_census__cin_plan_dates",
            census,
            child,
            cin_details_id=referral,
            cin_plan_id=number,
            plan_start_date=day(start),
            plan_end_date=day(end) if end else None,
        )
    # Unplanned in the year before; on the day itself; planned; too early.
    attended("Cora", "2023-06-01")
    attended("Cora", "2024-03-10")
    attended("Cora", "2023-07-01", "4")
    attended("Cora", "2023-02-01")
    # Fern: a contact in the month of birth shows no day, and was never followed by a referral.
    contact("Fern", "2024-05-20")
    attended("Dov", "2024-07-01")
    attended("Dov", "2024-04-01")


def _placed(world: World, returns: dict[int, str], extract: str) -> None:
    """Dov: a change of order within the first placement, a move, and an order with the carer."""
    for year, delivery in returns.items():
        world.add("ssda903__header", delivery, "Dov", sex_code="1", birth_month=day("2012-01-01"))
        # Missing over the year end: returned twice, with an end the second time.
        world.add(
            "ssda903__missing",
            delivery,
            "Dov",
            missing_start_date=day("2024-03-30"),
            missing_end_date=day("2024-04-02") if year == 2025 else None,
            missing_type_code="M",
        )

    def episode(start: str, end: str | None, began: str, **columns: Any) -> None:
        world.add(
            "ssda903__episodes",
            returns[2025],
            "Dov",
            episode_start_date=day(start),
            episode_end_date=day(end) if end else None,
            episode_end_reason_code="X1" if end else None,
            new_episode_reason_code=began,
            **columns,
        )

    foster = {"placement_type_code": "U6", "placement_provider_code": "PR1"}
    episode("2024-04-10", "2024-06-01", "S", legal_status_code="V2", **foster)
    episode(
        "2024-06-01",
        "2024-08-01",
        "L",
        legal_status_code="C2",
        placement_change_reason_code="CARPL",
        **foster,
    )
    episode("2024-08-01", "2024-12-01", "P", legal_status_code="C2", placement_type_code="K2")
    episode("2024-12-01", None, "T", legal_status_code="C2", placement_type_code="U4")
    for start, miles in (("2024-04-10", 12.5), ("2024-04-10", 3.0), ("2024-08-02", 80.0)):
        world.add(
            "ssd__cla_placement",
            extract,
            "Dov",
            placement_start_date=day(start),
            placement_distance=miles,
        )
    world.add("ssda903__oc2", returns[2025], "Dov", sdq_score=15, is_immunised=True)


def _after_care(world: World, returns: dict[int, str]) -> None:
    """Eli: out of touch at first; then studying, in suitable independent living."""
    told = {2024: ("NO", "0", "0"), 2025: ("YES", "F2", "U1")}
    for year, (touch, activity, home) in told.items():
        world.add(
            "ssda903__header", returns[year], "Eli", sex_code="2", birth_month=day("2005-02-01")
        )
        world.add(
            "ssda903__oc3",
            returns[year],
            "Eli",
            in_touch_code=touch,
            activity_code=activity,
            accommodation_code=home,
        )
    # Eva, Etta, Ewan and Emil: died, went home, refuses contact, needs nothing more. None of them
    # is in touch, nor out of touch.
    for child, touch in (("Eva", "DIED"), ("Etta", "RHOM"), ("Ewan", "REFU"), ("Emil", "NREQ")):
        world.add(
            "ssda903__header", returns[2025], child, sex_code="2", birth_month=day("2005-02-01")
        )
        world.add(
            "ssda903__oc3",
            returns[2025],
            child,
            in_touch_code=touch,
            activity_code="0",
            accommodation_code="0",
        )
