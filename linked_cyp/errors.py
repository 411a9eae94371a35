"""Errors that people see: one line, and never a value from the data."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LinkedCypError(Exception):
    """An error whose message is safe to show: counts, names of columns and rules, never values."""


@contextmanager
def value_free(doing: str) -> Iterator[None]:
    """Turn any other exception raised inside into a :class:`LinkedCypError` without its message.

    DuckDB, Polars and pyarrow quote cell values in their messages, and Dagster stores messages
    together with their causes. So the new error is raised outside the ``except`` block: neither
    ``__cause__`` nor ``__context__`` leads back to the original. What is kept is where it happened.

    Raises:
        LinkedCypError: ``"<doing>: <type of the original exception> (<module>:<line>)"``.
    """
    try:
        yield
        return
    except LinkedCypError:
        raise
    except Exception as error:  # every type may quote a value
        kind, place = type(error).__name__, _place(error)
    raise LinkedCypError(f"{doing}: {kind}{place}")


def _place(error: Exception) -> str:
    """The innermost line of our own code that the error passed through."""
    frames = [
        (Path(frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename).is_relative_to(_PACKAGE)
        and Path(frame.f_code.co_filename) != Path(__file__)
    ]
    if not frames:
        return ""
    file, line = frames[-1]
    return f" ({file.relative_to(_PACKAGE.parent)}:{line})"


_PACKAGE = Path(__file__).resolve().parent
