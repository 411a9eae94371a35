"""The review sheet: one HTML file that needs no network, and works on paper too."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from linked_cyp.linkage.review.decisions import COLUMNS, DECISIONS, LONGEST_NOTE
from linked_cyp.linkage.review.patterns import MARKS, Pair
from linked_cyp.pages import render

_SCRIPT = Path(__file__).with_name("sheet.js")
BAR_WIDTH = 240.0


def review_sheet(sheet_id: str, pairs: Sequence[Pair]) -> str:
    """The HTML of a sheet. It holds no value, no token and no record key."""
    script = _SCRIPT.read_text(encoding="utf-8")
    # The page's policy runs this script and no other.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    ends = [0.0] + [x for pair in pairs for line in pair.lines for x in (line.start, line.end)]
    low, high = min(ends), max(ends)

    def x(weight: float) -> float:
        return round(BAR_WIDTH * (weight - low) / ((high - low) or 1.0), 1)

    return render(
        "linkage/review/sheet.html.j2",
        sheet_id=sheet_id,
        pairs=pairs,
        marks=MARKS,
        decisions=DECISIONS,
        columns=",".join(COLUMNS),
        longest_note=LONGEST_NOTE,
        x=x,
        width=BAR_WIDTH,
        script=Markup(script),  # our own file: nothing in it comes from the data
        digest=digest,
    )
