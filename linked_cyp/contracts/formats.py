"""Shapes of codes that many columns share, so narrow that no name, number or postcode fits.

A contract names one with ``logicalTypeOptions: {format: organisation_code}``. Each is a closed
pattern in the syntax of RE2, which has no look-ahead: what must not fit is left out by listing what
may. Codes without a digit are the danger, because forenames and surnames have none; they pass only
where a register lists them.

Sources: NHS Data Dictionary (organisation code, site, ethnic category, reason for removal, HRG4+,
main specialty, treatment function), ONS register of geographic codes, ICD-10 and OPCS-4 as SUS
writes them, Unified Code for Units of Measure, SSDA903 guide (``LA_PERM``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Organisations whose three-letter code has a vowel or a Y, as a name has; capitals only. Every
# other code has a digit, or consonants alone.
_TRUSTS = (
    *("RAE", "RAJ", "RAL", "RAN", "RAP", "RAS", "RAT", "RAX", "RBA", "RCU", "RDE", "RDU", "RDY"),
    *("REF", "REM", "REN", "REP", "RET", "RHA", "RHU", "RJE", "RKE", "RLU", "RLY", "RMY", "RNA"),
    *("RNU", "RPA", "RPY", "RQY", "RRE", "RRU", "RTE", "RVY", "RWA", "RWE", "RWY", "RXA", "RXE"),
    *("RXY", "RYA", "RYC", "RYD", "RYE", "RYF", "RYG", "RYJ", "RYK", "RYR", "RYV", "RYW", "RYX"),
    *("RYY", "TAD", "TAE", "TAF", "TAH", "TAJ"),
)
_BOARDS = (
    *("QOC", "QOP", "QOQ", "QOX", "QUA", "QUE", "QUY", "QWE", "QWO", "QWU", "QXU", "QYG"),
)  # integrated care boards
REGISTERED = frozenset((*_TRUSTS, *_BOARDS))
_C = "[B-DF-HJ-NP-TV-XZ]"
_A = "[A-Za-z]"
_N = "[0-9A-Za-z]"
_ORGANISATION = (
    f"[0-9]{_N}{{1,4}}",  # 9AR, 9AR01; 703; 00BK
    f"{_A}[0-9]{_N}",  # R1H, Q99
    f"{_A}{{2}}[0-9]",  # RJ1
    f"{_C}{{3}}",  # RKL, NVC
    *_TRUSTS,
    *_BOARDS,
    f"{_A}[0-9]{_A}{_N}{{2}}",  # sites: a trust and two more. A postcode is M1 1AA: not here.
    f"{_A}[0-9]{{2}}([0-9]{_N}|{_A}[0-9])",
    f"{_A}{{2}}[0-9]{_N}{{2}}",
    f"{_A}{{3}}[0-9]{_N}",
    f"[NQR]{_C}{{2}}[A-Z]{{2}}",
    f"{_A}{{1,2}}[0-9]{{5,6}}",  # practices E84001, schools EE123456
    f"{_A}[0-9]{{8}}",  # branches E84001001; statistical codes E09000001
)
_CODE = f"({_N}|[0-9]{_N}{{1,3}}|{_A}[0-9]{_N}{{0,2}}|{_A}{{2}}[0-9]{_N}?)"
_TWO_SIGNS = f"([0-9]{_N}|{_A}[0-9]|[Nn]{{2}}|[Xx]{{2}}|[Zz]{{2}})"
_ICD10 = f"{_A}[0-9]{{2}}([.]?[0-9]{{0,2}}[ADad]?[*+†-]?|[.]?[Xx](-?[ADad]|[*+†-])?)"
_READ = f"{_A}[0-9]{{2}}[.]?[0-9]{{0,2}}{_A}?[.]{{0,2}}"
_SNOMED = "[1-9][0-9]{2,14}(00|10)[0-9]"
_UNITS = (
    *("%", "1", "kg", "g", "mg", "ug", "km", "m", "cm", "mm", "L", "dL", "mL", "s", "min", "h"),
    *("d", "wk", "a", "Cel", "kg/m2", "g/L", "g/dL", "mg/dL", "ug/L", "mmol/L", "umol/L"),
    *("mmol/mol", "/min", "L/min", "mm[Hg]", "m[Hg]", "10*9/L", "10*12/L", "kPa", "[in_i]"),
    *("[lb_av]", "[pH]", "{score}", "dB"),
)
_REMOVAL = (
    *("ADO", "AFL", "AFN", "CGA", "DEA", "DIS", "EMB", "LDN", "NIT", "OPA", "ORR", "RDI"),
    *("RDR", "RFI", "RPR", "SCT", "SDL", "SDN", "TRA"),
)


def _closed(*shapes: str) -> str:
    return f"^({'|'.join(shapes)})$"


FORMATS: Mapping[str, str] = {
    "organisation_code": _closed(*_ORGANISATION),
    "place_of_death_code": _closed(_A, *_ORGANISATION),
    # A national code of which no list is verified: one sign, or up to four with a digit early.
    "national_code": _closed(_CODE),
    # One that is always of two signs: 1 for 01 has lost its zero.
    "two_sign_code": _closed(_TWO_SIGNS),
    "two_sign_codes": f"^{_TWO_SIGNS}([|]{_TWO_SIGNS})*$",
    "national_codes": f"^{_CODE}([|]{_CODE})*$",
    "authority_code": _closed("[0-9]{3}", "[0-9]{2}[A-Z]{2}", "[A-Z][0-9]{8}"),
    "authority_or_country_code": _closed("[0-9]{3}", "WAL", "SCO", "NIR", "NUK", "[A-Z][0-9]{8}"),
    "specialty_code": _closed("[0-9]{2}[0-9A-Z]"),
    "icd10_code": _closed(_ICD10),
    "icd10_or_snomed_code": _closed(_ICD10, _READ, _SNOMED),
    "hrg_code": _closed("[A-Za-z]{2}[0-9]{2}[A-Za-z]"),
    "accident_emergency_code": _closed(f"[0-9]{{2}}{_N}{{0,4}}"),
    "yes_or_no": _closed("[0-9YyNn]", "[Yy][Ee][Ss]", "[Nn][Oo]", "[Tt]rue", "[Ff]alse"),
    "critical_care_type": _closed(
        "[0-9]{1,2}", "[ANPanp][Cc][Cc]", "ADULT", "NEONATAL", "PAEDIATRIC"
    ),
    "unit_of_measure": _closed(*map(re.escape, _UNITS)),
    "removal_reason_code": _closed(*_REMOVAL),
    "academic_year": _closed("(19|20)[0-9]{2}([/-]?(19|20)?[0-9]{2})?"),
    "serial_number": _closed("[0-9]{1,6}"),
}
