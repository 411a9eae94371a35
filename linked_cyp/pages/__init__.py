"""Pages that people open: one look, offline, without scripts.

Every page is one file: no style sheet, font, script or picture is fetched. Templates live beside
the code that fills them and extend ``pages/base.html.j2``; charts are inline SVG.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from linked_cyp.core.errors import value_free
from linked_cyp.core.files import fsync

_PACKAGE = Path(__file__).resolve().parent.parent


def render(template: str, **context: Any) -> str:
    """The HTML of a page.

    Args:
        template: path of the template within the package, such as
            ``linkage/report/report.html.j2``.
        context: what the template shows; text is escaped. A name that is missing is an error,
            not a blank. ``made`` (a datetime) defaults to now.

    Raises:
        LinkedCypError: the template failed, without the values it was given.
    """
    with value_free(f"rendering {template}"):
        return _environment().get_template(template).render({"made": datetime.now(UTC), **context})


def write_page(page: str, path: Path) -> Path:
    """Write a page for its owner's eyes only, whole or not at all.

    Args:
        page: HTML, as :func:`render` gives it.
        path: the file; its folder is made (0700) if missing.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.touch(mode=0o600)
        partial.write_text(page, encoding="utf-8")
        fsync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent}
    return environment


def number(value: float | None, digits: int = 0) -> str:
    """A count as people write it: ``12,345``; a dash for nothing."""
    return "-" if value is None else f"{value:,.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of one as ``12.3 %``; a dash for nothing."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"
