"""Deliveries of invented children whose every identifier is unmistakable, for the canary test.

One delivery per feed, written from the contract. Identities stand where they belong, and where
they do not: in a column nobody declared, in a date, in a file's name. ``plant`` returns what to
look for.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from linked_cyp.contracts.model import Column, Contract, Table
from linked_cyp.identity.exclusions import marks

CHILDREN = 12
SUPPLIER = "plantshire"
PERIODS = {
    "financial_year": "2025",
    "academic_year": "2025",
    "calendar_year": "2025",
    "academic_term": "2024-autumn",
    "month": "2025-03",
    "snapshot": "2025-03-31",
}
_UPN_LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZ"


@dataclass(frozen=True)
class Planted:
    """One invented child."""

    number: int

    @property
    def nhs_number(self) -> str:
        for serial in range(self.number * 100, self.number * 100 + 100):
            digits = f"9998{serial:05d}"
            check = 11 - sum(int(d) * (10 - i) for i, d in enumerate(digits)) % 11
            if check != 10:
                return digits + str(check % 11)
        raise AssertionError("one serial number in eleven has no check digit, never a hundred")

    @property
    def upn(self) -> str:
        digits = f"8019996{self.number:05d}"
        return _UPN_LETTERS[sum(int(d) * (i + 2) for i, d in enumerate(digits)) % 23] + digits

    @property
    def forename(self) -> str:
        return "Jorvexi" + self._letters

    @property
    def surname(self) -> str:
        return "Quillfeathr" + self._letters

    @property
    def postcode(self) -> str:
        return f"ZE3 9{chr(65 + self.number % 2)}{_UPN_LETTERS[self.number % 20]}".replace("C", "D")

    @property
    def birth_date(self) -> dt.date:
        return dt.date(2011, 1, 13) + dt.timedelta(days=37 * self.number)

    @property
    def local_id(self) -> str:
        return f"PLT{self.number:06d}"

    @property
    def _letters(self) -> str:
        return "".join("bdfgklmnprstvz"[int(d, 14)] + "a" for d in f"{self.number:02d}")


def plant(
    landing: Path,
    contracts: Mapping[str, Contract],
    *,
    supplier: str = SUPPLIER,
    numbers: Iterable[int] = range(1, CHILDREN + 1),
) -> dict[str, list[str]]:
    """Write a delivery of each feed under ``landing`` and return the needles, by label.

    Args:
        numbers: which children (postcodes come round again after twenty).
    """
    children = [Planted(n) for n in numbers]
    needles: dict[str, list[str]] = {
        "nhs number": [c.nhs_number for c in children],
        "upn": [c.upn for c in children],
        "forename": [c.forename for c in children],
        "surname": [c.surname for c in children],
        "postcode": [c.postcode for c in children],
        "local id": [c.local_id for c in children],
    }
    for reply in landing.glob("*/national_data_opt_out/*/*"):  # they have not opted out
        with reply.open("a", encoding="utf-8") as file:
            file.writelines(f"{c.nhs_number},\r\n" for c in children)
    for contract in contracts.values():
        if contract.feed == "national_data_opt_out":
            continue  # there is one reply for everybody
        period = PERIODS[contract.period_kind]
        folder = landing / supplier / contract.feed / period
        folder.mkdir(parents=True)
        year = contract.at(contract.collection_year(period))
        if contract.feed in _LISTS:
            name = f"list {children[0].surname}.csv"
            (folder / name).write_text(_list(contract.feed, children), encoding="utf-8")
            continue
        if contract.reader == "cin_xml":
            (folder / "cin.xml").write_text(_cin_message(children), encoding="utf-8")
            continue
        for table in year.tables.values():
            if table.required or any(
                c.classification == "direct_identifier" for c in table.columns
            ):
                name = f"{table.physical_name} {children[0].surname}.csv"
                (folder / name).write_text(_csv(year, table, children), encoding="utf-8")
    return needles


# Lists of opt-outs that take nobody out: a dissent withdrawn, an objection to something else. One
# bad row would refuse them, and so would a column nobody declared.
_LISTS = {
    "type1_opt_out": (
        "nhs_number,concept_code,recorded_date",
        "{0.nhs_number},827261000000102,2024-10-15",
    ),
    "local_objection": (
        "subject_ref,scheme,authority,scope,received_date,withdrawn_date",
        "{0.nhs_number},nhs,,direct_care,2024-10-15,",
    ),
}


def _list(feed: str, children: list[Planted]) -> str:
    head, row = _LISTS[feed]
    return "\n".join([head, *(row.format(c) for c in children)]) + "\n"


def _csv(contract: Contract, table: Table, children: list[Planted]) -> str:
    """One good row per child, an undeclared column of names, and a row with a name for a date,
    where the feed's deliveries may have one bad row in thirteen.

    A row of some tables says that a child was adopted and takes it out of linkage, so only the
    last has one.
    """
    takes_out = any(column.required for column in table.columns if column.name in marks(table))
    children = children[-1:] if takes_out else children
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([*(c.physical_name for c in table.columns), "Case worker's remarks"])
    for child in children:
        values = [_value(contract, table, column, child) for column in table.columns]
        writer.writerow([*values, f"Spoke to {child.forename} {child.surname}"])
    if contract.max_quarantined_share * (len(children) + 1) < 1 and len(children) > 1:
        return out.getvalue()  # one bad row would refuse this feed's delivery
    last = children[-1]
    protective = marks(table)  # unreadable, they refuse the delivery
    spoilt = [
        f"{last.surname} {last.nhs_number}"
        if column.type in ("date", "integer") and column.required and column.name not in protective
        else _value(contract, table, column, last)
        for column in table.columns
    ]
    writer.writerow([*spoilt, last.upn])
    return out.getvalue()


def _value(contract: Contract, table: Table, column: Column, child: Planted) -> str:
    kind = column.identifier_type or column.linkage_role or ""
    own = {
        "nhs_number": child.nhs_number,
        "upn": child.upn,
        "former_upn": child.upn,
        "uln": "",
        "postcode": child.postcode,
        "forename": child.forename,
        "middle_names": child.forename,
        "birth_date": "",
        "la_child_id": child.local_id,
    }
    if column.type in ("date", "timestamp"):
        day = child.birth_date if kind == "birth_date" else dt.date(2024, 10, 15)
        formats = column.date_formats or contract.date_formats
        return day.strftime(formats[0]) if column.required or kind == "birth_date" else ""
    if kind in own:
        return own[kind]
    if kind.endswith("surname"):
        return child.surname
    if column.classification == "direct_identifier" and column.type == "string":
        return child.local_id
    needed = column.required or column.primary_key_position or column.name.endswith("_id")
    if not needed and kind not in ("sex", "ethnicity"):
        return ""
    if column.codeset:
        return column.codeset.values[0]
    if column.name.startswith("academic_year"):
        return PERIODS["academic_year"]
    if column.type == "string" and not column.name.endswith("_id"):
        return "1"
    low = int(column.minimum or 0)
    span = int(column.maximum) - low + 1 if column.maximum is not None else CHILDREN + 100
    return str(low + child.number % span)


def _cin_message(children: list[Planted]) -> str:
    rows = "".join(
        f"""<Child><ChildIdentifiers><LAchildID>{child.local_id}</LAchildID>
        <UPN>{child.upn}</UPN><PersonBirthDate>{child.birth_date}</PersonBirthDate><Sex>F</Sex>
        </ChildIdentifiers><ChildCharacteristics><Ethnicity>WBRI</Ethnicity></ChildCharacteristics>
        <CINdetails><CINreferralDate>2024-10-15</CINreferralDate><ReferralSource>1A</ReferralSource>
        <PrimaryNeedCode>N1</PrimaryNeedCode><ReferralNFA>0</ReferralNFA></CINdetails>
        <Remarks>{escape(child.surname)}</Remarks></Child>"""
        for child in children
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
    <Message><Header><CollectionDetails><Collection>CIN</Collection><Year>2025</Year>
    <ReferenceDate>2025-03-31</ReferenceDate></CollectionDetails>
    <Source><LEA>201</LEA></Source></Header>
    <Children>{rows}</Children></Message>"""
