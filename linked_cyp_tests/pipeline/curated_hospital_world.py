"""Hand-worked cases: outpatient and emergency care, return to hospital, avoidable admissions."""

from __future__ import annotations

from typing import Any

from linked_cyp_tests.pipeline.world import World, day

SUPPLIER = "icb_north"
MOVED = ("Uma", "Hew", "Gil", "Nan")


def add_hospital_cases(world: World) -> None:
    pds = world.deliver("pds_demographics", SUPPLIER, "2025-03-31", 2025)
    born = {"Ida": "2024-06-01"}
    for child in ("Opal", "Ida", "Edie", "Rae", "Roy", "Cass", "Dot", "Tia", "Ash", *MOVED):
        month = day(born.get(child, "2015-03-01"))
        world.add("pds_demographics__person", pds, child, sex_code="2", birth_month=month)
    _dying(world, pds)
    _renumbered(world, pds)
    _outpatient(world)
    _emergency(world)
    _readmitted(world)
    _avoidable(world)


def _delivered(world: World, feed: str, period: str) -> str:
    """The delivery of a month, made when first asked for."""
    held = {row["delivery_id"] for row in world.rows["delivery"]}
    found = f"{SUPPLIER}.{period}.{feed}.accepted"
    return found if found in held else world.deliver(feed, SUPPLIER, period, 2025)


def _appoint(
    world: World, child: str, key: int, on: str, period: str = "2024-06", **more: Any
) -> None:
    columns = {
        "provider_code": "RXX",
        "first_attendance_code": "2",
        "attendance_status_code": "5",
        "treatment_function_code": "420",
    }
    world.add(
        "sus_op__appointment",
        _delivered(world, "sus_op", period),
        child,
        appointment_id=key,
        appointment_date=day(on),
        **{**columns, **more},
    )


def _outpatient(world: World) -> None:
    june, july = (_delivered(world, "sus_op", f"2024-0{month}") for month in (6, 7))
    log = "sus_op__insert_delete_log"
    # Opal's first appointment is attended, by telephone, with a diagnosis and a procedure.
    _appoint(world, "Opal", 1, "2024-06-03", first_attendance_code="3")
    world.add(
        "sus_op__diagnosis",
        june,
        appointment_id=1,
        diagnosis_number=1,
        diagnosis_icd10_code="J45.9",
    )
    world.add(
        "sus_op__procedure",
        june,
        appointment_id=1,
        procedure_number=1,
        procedure_opcs4_code="x62.3",
    )
    # Sent again a month later: she had come after all. Its diagnosis of June does not count.
    _appoint(world, "Opal", 2, "2024-06-05", attendance_status_code="3")
    world.add(
        "sus_op__diagnosis",
        june,
        appointment_id=2,
        diagnosis_number=1,
        diagnosis_icd10_code="G40X",
    )
    _appoint(world, "Opal", 2, "2024-06-05", "2024-07", attendance_status_code="6")
    # One deleted in July; one deleted in June and sent again in July.
    _appoint(world, "Opal", 3, "2024-06-06")
    world.add(log, june, appointment_id=3, import_log_id=1, is_deleted=False)
    world.add(log, july, appointment_id=3, import_log_id=2, is_deleted=True)
    _appoint(world, "Opal", 4, "2024-06-07")
    world.add(log, june, appointment_id=4, import_log_id=1, is_deleted=True)
    _appoint(world, "Opal", 4, "2024-06-07", "2024-07", attendance_status_code="3")
    # The same appointment under two keys; a clock stop; one still to come; a withheld identity.
    for key in (5, 6):
        _appoint(
            world,
            "Opal",
            key,
            "2024-06-10",
            provider_appointment_number=77,
            attendance_status_code="2",
        )
    _appoint(world, "Opal", 7, "2024-06-11", first_attendance_code="5")
    _appoint(world, "Opal", 8, "2024-06-12", attendance_status_code="0")
    _appoint(world, "Opal", 9, "2024-06-13", withheld_identity_reason_code="01")
    # Late and not seen is neither attended nor missed; the last was cancelled by the hospital.
    _appoint(world, "Opal", 10, "2024-06-14", attendance_status_code="7")
    _appoint(world, "Opal", 11, "2024-06-15", attendance_status_code="4")
    # Ida is born in June 2024: what happens in that month shows only the month.
    _appoint(world, "Ida", 12, "2024-06-20", referral_received_date=day("2024-06-12"))
    _appoint(world, "Ida", 13, "2024-07-20", referral_received_date=day("2024-06-12"))


def _attend(world: World, child: str, key: int, on: str, **more: Any) -> None:
    columns = {
        "provider_code": "RXX",
        "department_type_code": "01",
        "attendance_category_code": "1",
    }
    world.add(
        "sus_ecds__attendance",
        _delivered(world, "sus_ecds", more.pop("period", "2024-06")),
        child,
        attendance_id=key,
        arrival_date=day(on),
        **{**columns, **more},
    )


def _emergency(world: World) -> None:
    june = _delivered(world, "sus_ecds", "2024-06")
    # Edie comes late on the 10th, waits five hours and is admitted after midnight. The first
    # diagnosis is not the primary one; its code is not approved and stays.
    _attend(
        world,
        "Edie",
        1,
        "2024-06-10",
        arrival_time="23:50:00",
        minutes_to_departure=300,
        decision_to_admit_date=day("2024-06-11"),
    )
    for number, code, primary, approved in ((1, "271807003", False, False), (2, "195967001", 1, 1)):
        world.add(
            "sus_ecds__diagnosis",
            june,
            attendance_id=1,
            diagnosis_number=number,
            diagnosis_snomed_code=code,
            is_primary=bool(primary),
            is_diagnosis_code_approved=bool(approved),
            is_injury_related=False,
        )
    admit(world, "Edie", 7001, "21", "2024-06-11", "2024-06-12")
    # Two procedures in it, of which one was not coded.
    for number, written in ((1, "f34.4"), (2, None)):
        world.add(
            "sus_apc__procedure",
            _delivered(world, "sus_apc", "2024-07"),
            spell_id=7001,
            episode_id=1,
            procedure_number=number,
            procedure_opcs4_code=written,
        )
    # The planned admission of the day after the second attendance has nothing to do with it; that
    # attendance, for an injury in a minor injuries unit, raised a concern.
    _attend(world, "Edie", 2, "2024-06-20", department_type_code="03", minutes_to_departure=240)
    world.add(
        "sus_ecds__diagnosis",
        june,
        attendance_id=2,
        diagnosis_number=1,
        diagnosis_snomed_code="82271004",
        is_injury_related=True,
    )
    world.add(
        "sus_ecds__safeguarding_concern",
        june,
        attendance_id=2,
        safeguarding_concern_number=1,
        concern_snomed_code="878111000000109",
    )
    admit(world, "Edie", 7002, "11", "2024-06-21", "2024-06-21")
    # Planned follow-up; then one deleted by the log of July.
    _attend(world, "Edie", 3, "2024-06-22", attendance_category_code="4")
    _attend(world, "Edie", 4, "2024-06-23")
    world.add(
        "sus_ecds__insert_delete_log",
        _delivered(world, "sus_ecds", "2024-07"),
        attendance_id=4,
        import_log_id=2,
        is_deleted=True,
    )
    _attend(world, "Ida", 5, "2024-06-25")


def admit(
    world: World,
    child: str,
    key: int,
    method: str,
    start: str,
    end: str | None,
    *codes: str,
    **more: Any,
) -> None:
    delivery = _delivered(world, "sus_apc", "2024-07")
    columns = {
        "provider_code": "RXX",
        "admission_method_code": method,
        "admission_date": day(start),
        "discharge_date": day(end) if end else None,
    }
    world.add("sus_apc__spell", delivery, child, spell_id=key, **{**columns, **more})
    world.add(
        "sus_apc__episode",
        delivery,
        child,
        spell_id=key,
        episode_id=1,
        episode_number=1,
        episode_start_date=day(start),
    )
    for position, code in enumerate(codes, 1):
        world.add(
            "sus_apc__diagnosis",
            delivery,
            spell_id=key,
            episode_id=1,
            diagnosis_number=position,
            diagnosis_icd10_code=code,
        )


def _readmitted(world: World) -> None:
    # Rae is back 15 days after the first discharge (5 to 20 January), and 30 days after the second
    # (26 January to 25 February), which is too late.
    admit(world, "Rae", 7010, "21", "2024-01-01", "2024-01-05")
    admit(world, "Rae", 7011, "22", "2024-01-20", "2024-01-26")
    admit(world, "Rae", 7012, "21", "2024-02-25", "2024-02-26")
    # Roy's emergency of 10 March belongs to the last discharge, a day case, which is not counted.
    admit(world, "Roy", 7020, "21", "2024-02-28", "2024-03-01")
    admit(world, "Roy", 7021, "12", "2024-03-05", "2024-03-05", patient_classification_code="2")
    admit(world, "Roy", 7022, "28", "2024-03-10", "2024-03-11")
    # Cass has cancer: neither her discharge nor her return counts. Dot died. Tia was transferred.
    admit(world, "Cass", 7030, "21", "2024-03-01", "2024-03-02", "R50.9", "C91.0")
    admit(world, "Cass", 7031, "21", "2024-03-05", "2024-03-06", "C91.0")
    admit(world, "Cass", 7032, "21", "2024-05-01", None)
    admit(world, "Dot", 7040, "21", "2024-03-01", "2024-03-02", discharge_method_code="4")
    admit(world, "Tia", 7050, "21", "2024-03-01", "2024-03-02", discharge_method_code="1")
    admit(world, "Tia", 7051, "2B", "2024-03-02", "2024-03-09")
    # Uma is moved: discharged to another hospital (51) on the 5th, admitted there on the 6th as a
    # transfer (81): one stay, nobody came back. Hew was sent home (19) and came as an emergency
    # (21) from another hospital's department (51): two stays, and he came back.
    admit(world, "Uma", 7080, "21", "2024-03-01", "2024-03-05", discharge_destination_code="51")
    admit(world, "Uma", 7081, "81", "2024-03-06", "2024-03-10", provider_code="RYY")
    admit(world, "Hew", 7082, "21", "2024-03-01", "2024-03-05", discharge_destination_code="19")
    admit(world, "Hew", 7083, "21", "2024-03-06", "2024-03-10", admission_source_code="51")
    # Gil's stay goes on elsewhere, three days late: too late for one stay, and no return.
    admit(world, "Gil", 7084, "21", "2024-03-01", "2024-03-05", discharge_destination_code="51")
    admit(world, "Gil", 7085, "2B", "2024-03-08", "2024-03-09")
    # Nan attends by day, regularly, between the two hospitals of one stay: a stay of its own.
    admit(world, "Nan", 7086, "21", "2024-03-01", "2024-03-05", discharge_destination_code="51")
    admit(world, "Nan", 7087, "13", "2024-03-05", "2024-03-05", patient_classification_code="3")
    admit(world, "Nan", 7088, "81", "2024-03-06", "2024-03-07")
    # Ida is born on 9 June, goes home on the 11th and is back on 5 July: the days are not shown,
    # for with the date of return and the length of stay they would give her birthday.
    admit(world, "Ida", 7060, "82", "2024-06-09", "2024-06-11")
    admit(world, "Ida", 7061, "21", "2024-07-05", "2024-07-06")
    # Both stays had critical care; that of the birth shows its month.
    for key, start, end in ((7060, "2024-06-09", "2024-06-10"), (7061, "2024-07-05", "2024-07-06")):
        world.add(
            "sus_apc__critical_care",
            _delivered(world, "sus_apc", "2024-07"),
            spell_id=key,
            critical_care_number=1,
            critical_care_start_date=day(start),
            critical_care_end_date=day(end),
            basic_respiratory_days=1,
        )


def _dying(world: World, pds: str) -> None:
    # Odo goes home on 12 May, is back on the 28th and dies in hospital in June, three days after
    # an appointment: no date may tell the day, nor a length of stay with the date before it.
    june, month = day("2024-06-01"), day("2015-03-01")
    world.add("pds_demographics__person", pds, "Odo", birth_month=month, death_month=june)
    admit(world, "Odo", 7170, "21", "2024-05-10", "2024-05-12")
    admit(world, "Odo", 7171, "21", "2024-05-28", "2024-06-15", discharge_method_code="4")
    _appoint(world, "Odo", 20, "2024-05-20")
    _appoint(world, "Odo", 21, "2024-06-12")


def _renumbered(world: World, pds: str) -> None:
    # Wim's stays, attendance and appointment came under his number by mistake, and were corrected a
    # month later to that of somebody who opted out (a record without a person): none is his.
    world.add("pds_demographics__person", pds, "Wim", birth_month=day("2015-03-01"))
    for feed, table, key, on in (
        ("sus_apc", "spell", "spell_id", "admission_date"),
        ("sus_ecds", "attendance", "attendance_id", "arrival_date"),
        ("sus_op", "appointment", "appointment_id", "appointment_date"),
    ):
        row = {key: 7190, "provider_code": "RXX", on: day("2024-06-03")}
        june, july = (_delivered(world, feed, f"2024-0{month}") for month in (6, 7))
        world.add(f"{feed}__{table}", june, "Wim", **row)
        world.add(f"{feed}__{table}", july, **row, record_key=99_002)


def _avoidable(world: World) -> None:
    # Ash, nine: asthma on 11 June 2024, through the department, home the same day. In the 365 days
    # before (from 12 June 2023): an emergency admission, two unplanned attendances (its own, and
    # one on the first day; not the planned one, nor the day before the first), one appointment
    # kept and one missed.
    admit(world, "Ash", 7070, "21", "2024-06-11", "2024-06-11", "J45.9")
    admit(world, "Ash", 7071, "21", "2024-01-10", "2024-01-12", "R11X", "J45.9")
    admit(world, "Ash", 7072, "11", "2024-02-10", "2024-02-10", "J45.9")
    _attend(world, "Ash", 70, "2024-06-11")
    _attend(world, "Ash", 71, "2024-01-10")
    _attend(world, "Ash", 72, "2023-06-12")
    _attend(world, "Ash", 73, "2023-06-11")
    _attend(world, "Ash", 74, "2024-03-01", attendance_category_code="4")
    _appoint(world, "Ash", 70, "2024-05-01")
    _appoint(world, "Ash", 71, "2024-05-02", attendance_status_code="3")
    _appoint(world, "Ash", 72, "2024-06-11")
