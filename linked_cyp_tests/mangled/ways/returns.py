"""Returns in XML."""

from __future__ import annotations

import re
from collections.abc import Callable

from linked_cyp_tests.mangled.files import File
from linked_cyp_tests.mangled.ways.registry import declare, of_files


def by_xml(kind: str) -> Callable[[Callable[[str], str]], None]:
    def register(change: Callable[[str], str]) -> None:
        def of_file(file: File) -> bytes | None:
            if not file.content.lstrip().startswith(b"<"):
                return None
            text = file.content.decode()
            made = change(text)
            return made.encode() if made != text else None

        declare(kind, change.__name__, of_files(of_file))

    return register


_XML_DAY = re.compile(r">(\d{4}-\d{2}-\d{2})<")


@by_xml("export")
def xml_dates_with_time(text: str) -> str:
    return _XML_DAY.sub(r">\1T00:00:00<", text)


@by_xml("export")
def xml_dates_with_z(text: str) -> str:
    return _XML_DAY.sub(r">\1Z<", text)


@by_xml("person")
def xml_dates_british(text: str) -> str:
    return re.sub(r">(\d{4})-(\d{2})-(\d{2})<", r">\3/\2/\1<", text)


@by_xml("export")
def xml_indented(text: str) -> str:
    return text.replace("><", ">\n  <")


@by_xml("export")
def xml_values_padded(text: str) -> str:
    return re.sub(r">([^<>\s][^<>]*)<", r"> \1 <", text)


@by_xml("export")
def xml_with_namespace(text: str) -> str:
    return text.replace("<Message>", '<Message xmlns="http://example.org/cin">')


@by_xml("person")
def xml_elements_renamed(text: str) -> str:
    return text.replace("PersonBirthDate", "DateOfBirth")


@by_xml("export")
def xml_elements_lower_case(text: str) -> str:
    return re.sub(r"<(/?)(\w+)>", lambda m: f"<{m[1]}{m[2].lower()}>", text)


@by_xml("person")
def xml_empty_elements(text: str) -> str:
    return re.sub(r"<(CINclosureDate|ReasonForClosure|PersonBirthDate)>[^<]*</\1>", r"<\1/>", text)


@by_xml("person")
def xml_codes_lower_case(text: str) -> str:
    return re.sub(r">([A-Z]{1,3}\d{0,2})<", lambda m: f">{m[1].lower()}<", text)
