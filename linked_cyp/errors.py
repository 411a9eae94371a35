"""Errors that people see: one line, and never a value from the data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class LinkedCypError(Exception):
    """An error whose message is safe to show: counts, names of columns and rules, never values."""


@contextmanager
def value_free(doing: str) -> Iterator[None]:
    """Turn any other exception raised inside into a :class:`LinkedCypError` without its message.

    DuckDB, Polars and pyarrow quote cell values in their messages, and Dagster stores messages
    together with their causes. So the new error is raised outside the ``except`` block: neither
    ``__cause__`` nor ``__context__`` leads back to the original.

    Raises:
        LinkedCypError: ``"<doing>: <type of the original exception>"``.
    """
    try:
        yield
        return
    except LinkedCypError:
        raise
    except Exception as error:  # every type may quote a value
        kind = type(error).__name__
    raise LinkedCypError(f"{doing}: {kind}")
