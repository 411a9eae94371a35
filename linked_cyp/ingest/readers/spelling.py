"""Codes, dates, school years and text in one spelling, whatever a spreadsheet made of them.

Each reading here is of one distinct value that the contract does not know as it stands; what it
cannot read stays as it is, and counts as lost. Ids have their one spelling in
:mod:`linked_cyp.identity.identifiers`, which tokens share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import ftfy

from linked_cyp.contracts.model import Codeset
from linked_cyp.core.sql import literal
from linked_cyp.identity.identifiers import UNSEEN

# Code lists whose first character is national and whose second is the sender's own (NHS Data
# Dictionary, ETHNIC CATEGORY: the local subdivision).
SECOND_IS_LOCAL = ("ethnicity_nhs",)
_UNSEEN = re.compile(UNSEEN.replace(r"\x{AD}", "\u00ad").replace(r"\x{", r"\u").replace("}", ""))
_DECIMAL = re.compile(r"^([0-9]+)\.0*$")
_LABELLED = re.compile(r"^(\S{1,12}?)\s*(?:[-\u2013\u2014:|=(\[]|\s)\s*(\S.*)$")
MOJIBAKE = (
    "[\u00c2\u00c3\u00c4\u00c5\u00e2\u0102\u0103\u0192][\u0080-\u00bf\u20ac\u201a\u0192\u201e"
    "\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d\u2018\u2019\u201c\u201d\u2022\u2013"
    "\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178]|\ufffd"
)
Reading = Callable[[str], str | None]

_DAY = (
    "[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/. ][0-9]{1,2}[-/. ][0-9]{4}|[0-9]{8}"
    "|[0-9]{4}[-/ ][A-Z]{3,9}[-/ ][0-9]{1,2}"
    "|[0-9]{1,2}(?:ST|ND|RD|TH)?[-/ ][A-Z]{3,9}[-/, ]+[0-9]{4}"
)
_TIME = "[T ]+[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?[AP]M)?"
_ZONE = " ?(?:Z|UTC|GMT|[+-][0-9]{2}:?(?:[0-9]{2})?)"
_CLOCK = "([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?(?: ?([AP])M)?"
# Two numbers of which nobody can say, from one cell, which is the day.
AMBIGUOUS = "([0-9]{1,2})[-/. ]([0-9]{1,2})[-/. ]([0-9]{4})"


def plain(text: str) -> str:
    """Text without what is not seen and what spreadsheets put around it; upper case."""
    seen = re.sub(r"\s+", " ", _UNSEEN.sub("", text)).strip().upper()
    for wrapped in (r'^="([^"]*)"$', "^['`\u2018\u2019\"]+([^'`\"]*)['\u2018\u2019\"]*$"):
        seen = re.sub(wrapped, r"\1", seen)
    return seen.strip()


def code_reading(codeset: Codeset, current: Codeset | None = None) -> Reading:
    """How a value that is none of the codes may still be one of them.

    Tried in order: letter case and what spreadsheets put around it, ``.0``, leading zeros; the
    label after the code; the label alone; and, in lists of which the second character is the
    sender's own, the first. A spelling that two codes share is nobody's; a label alone is looked
    for among the ``current`` codes, as codes of other years may share it.
    """
    keys = _unique((_key(code), code) for code in codeset.values)
    numbers = _unique((key.lstrip("0") or "0", code) for key, code in keys.items() if key.isdigit())
    labels = _unique((_words(c.label), c.code) for c in (current or codeset).codes)
    by_code: dict[str, set[str]] = {}
    for entry in codeset.codes:
        by_code.setdefault(entry.code, set()).add(_words(entry.label))

    def known(key: str) -> str | None:
        return keys.get(key) or (numbers.get(key.lstrip("0") or "0") if key.isdigit() else None)

    def read(text: str) -> str | None:
        key = _key(text)
        found = known(key) or labels.get(_words(text))
        if found or not key:
            return found
        labelled = _LABELLED.match(plain(text))
        if labelled:
            code = known(_key(labelled[1]))
            if code and _says(_words(labelled[2]), by_code[code]):
                return code
        if codeset.name in SECOND_IS_LOCAL and len(key) == 2 and key.isalnum():
            return keys.get(key[0])
        return None

    return read


def school_year(text: str) -> str | None:
    """A school year as ``2023/2024`` or the year it ends in; None when it is none.

    ``2324`` is 2023/24: four digits that are no year of a school leaver's life but two that
    follow one another.
    """
    seen = _DECIMAL.sub(r"\1", plain(text))
    pair = re.fullmatch(
        r"([0-9]{4}|[0-9]{2})\s*(?:[-/\u2013\u2014_]|TO|AND|&|\s)\s*([0-9]{4}|[0-9]{2})", seen
    )
    if not pair and re.fullmatch("[0-9]{4}", seen):
        if 1980 <= int(seen) <= 2079:
            return seen
        pair = re.fullmatch("([0-9]{2})([0-9]{2})", seen)
    if not pair and re.fullmatch("[0-9]{6}|[0-9]{8}", seen):
        pair = re.fullmatch("([0-9]{4})([0-9]{2}|[0-9]{4})", seen)
    if not pair:
        return None
    first = int(pair[1]) if len(pair[1]) == 4 else 2000 + int(pair[1])
    follows = (first + 1) % 100 == int(pair[2]) % 100 and 1980 <= first <= 2079
    return f"{first}/{first + 1}" if follows else None


def mended_text(text: str) -> str | None:
    """Text that was decoded twice, as it was meant; None when that is not to be known."""
    mended = ftfy.fix_encoding(text)
    return None if "\ufffd" in mended or re.search(MOJIBAKE, mended) else mended


def moment_readings(texts: str, month_first: bool, is_date: bool) -> str:
    """A query of ``text`` and ``moment`` (TIMESTAMP, null when unread) of the texts of a query.

    Reads ISO dates, dates with names of months, day before month (or month first where the column
    was found to be written so), with or without a time, fractions of a second and a time zone. The
    clock's time is taken as written; but a date that came as another zone's midnight (23:00Z on
    the day before, in summer) is London's date. The macros of
    :mod:`linked_cyp.identity.macros` must be there.

    Args:
        texts: a query with one column ``text``.
        month_first: whether two numbers are month and day, in this order.
        is_date: whether the column holds dates, not times.
    """
    whole = literal(f"^({_DAY})({_TIME})?({_ZONE})?$")
    order = r"\3-\1-\2" if month_first else r"\3-\2-\1"
    split = (
        f"SELECT text, regexp_extract(linked_cyp_seen(text), {whole}, "
        "['day', 'time', 'zone']) AS p "
        f"FROM ({texts})"
    )
    dated = (
        "SELECT text, p.zone AS zone, "
        f"regexp_extract(p.time, {literal(_CLOCK)}, ['h', 'm', 's', 'f', 'half']) AS c, CASE "
        "WHEN regexp_full_match(p.day, '[0-9]{4}[-/.][0-9]+[-/.][0-9]+') "
        "THEN regexp_replace(p.day, '[/.]', '-', 'g') "
        r"WHEN regexp_full_match(p.day, '[0-9]{8}') "
        r"THEN regexp_replace(p.day, '^(....)(..)(..)$', '\1-\2-\3') "
        f"WHEN regexp_full_match(p.day, {literal(AMBIGUOUS)}) "
        f"THEN regexp_replace(p.day, {literal(AMBIGUOUS)}, {literal(order)}) "
        r"WHEN regexp_full_match(p.day, '[0-9]{4}[-/ ][A-Z]+[-/ ][0-9]+') THEN regexp_replace("
        r"p.day, '^([0-9]{4})[-/ ]([A-Z]{3})[A-Z]*[-/ ]([0-9]+)$', '\1-\2-\3') "
        r"ELSE regexp_replace(p.day, "
        r"'^([0-9]+)(ST|ND|RD|TH)?[-/ ]([A-Z]{3})[A-Z]*[-/, ]+([0-9]{4})$', '\4-\3-\1') "
        "END AS day FROM split"
    )
    numbers = (
        "SELECT text, zone, try_strptime(day, ['%Y-%m-%d', '%Y-%b-%d']) AS day, "
        "c.h = '' AS untimed, "
        "try_cast(c.h AS INTEGER) + CASE WHEN c.half = 'P' AND c.h <> '12' THEN 12 WHEN "
        "c.half = 'A' AND c.h = '12' THEN -12 ELSE 0 END AS h, try_cast(c.m AS INTEGER) AS m, "
        "coalesce(try_cast(c.s AS INTEGER), 0) AS s, "
        "try_cast(rpad(left(c.f, 6), 6, '0') AS INTEGER) AS f FROM dated"
    )
    timed = (
        "SELECT text, zone, day, CASE WHEN untimed THEN INTERVAL 0 SECOND WHEN h < 24 AND m < 60 "
        "AND s < 60 THEN to_hours(h) + to_minutes(m) + to_seconds(s) + to_microseconds(f) END "
        "AS clock FROM numbers"
    )
    moment = "SELECT text, zone, day + clock AS moment FROM timed"
    result = "moment"
    if is_date:
        result = (
            "CASE WHEN regexp_full_match(zone, ' ?(Z|UTC|GMT|[+-]00:?(00)?)') AND moment::TIME = "
            f"TIME '23:00' AND {_in_summer_time('moment')} THEN moment + INTERVAL 1 HOUR "
            "ELSE moment END"
        )
    return (
        f"WITH split AS ({split}), dated AS ({dated}), numbers AS ({numbers}), timed AS ({timed}), "
        f"whole AS ({moment}) "
        f"SELECT text, {result} AS moment FROM whole"
    )


def _in_summer_time(moment: str) -> str:
    """SQL that is true where London's clocks, at 23:00 Greenwich time, were an hour ahead.

    Written out, since a browser's DuckDB knows no time zones: from 1972 on (and all the time from
    1968 to 1971) by the law of the year; of earlier days nothing is said.
    """
    year, day = f"year({moment})", f"{moment}::DATE"
    spring = f"make_date({year}, 3, CASE WHEN {year} < 1981 THEN 16 ELSE 25 END)"
    last = f"CASE WHEN {year} < 1990 THEN 23 WHEN {year} < 1996 THEN 22 ELSE 25 END"
    autumn = f"make_date({year}, 10, {last})"
    return (
        f"({day} BETWEEN DATE '1968-02-18' AND DATE '1971-10-30' OR {year} >= 1972 "
        f"AND {day} >= {_sunday_from(spring)} AND {day} < {_sunday_from(autumn)})"
    )


def _sunday_from(day: str) -> str:
    return f"{day} + (7 - isodow({day}))::INTEGER"


def _key(text: str) -> str:
    """A code as it is compared: upper case, no white space, no ``.0``."""
    return _DECIMAL.sub(r"\1", plain(text).replace(" ", ""))


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.casefold()))


def _says(written: str, labels: Iterable[str]) -> bool:
    """Whether what follows a code is its label, whole or shortened, or longer than ours."""
    short = min(len(written), 3)
    return short > 0 and any(
        label.startswith(written) or written.startswith(label) or label[:3] == written[:3]
        for label in labels
    )


def _unique(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The pairs as a mapping, without keys that stand for two values."""
    found: dict[str, set[str]] = {}
    for key, value in pairs:
        found.setdefault(key, set()).add(value)
    return {key: next(iter(values)) for key, values in found.items() if key and len(values) == 1}
