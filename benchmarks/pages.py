"""Figures put into the documents, and how they grow."""

from __future__ import annotations

import math
from pathlib import Path


def put_into(page: Path, figures: str, marks: tuple[str, str]) -> None:
    """Replace what stands between the page's two marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(marks[0])
    _, _, after = rest.partition(marks[1])
    text = f"{before}{marks[0]}\n\n{figures}\n\n{marks[1]}{after}"
    page.write_text(text, encoding="utf-8")


def growth(small: tuple[float, float], large: tuple[float, float]) -> str:
    """b in ``cost ~ size^b`` from one (size, cost) to another; empty for one size."""
    if small[0] == large[0]:
        return ""
    return f"{math.log(large[1] / small[1]) / math.log(large[0] / small[0]):.2f}"
