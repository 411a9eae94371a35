"""Errors that people see: one line, and never a value from the data."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast


class LinkedCypError(Exception):
    """An error whose message is safe to show: counts, names of columns and rules, never values."""


class value_free:
    """Turn any other exception raised inside into a :class:`LinkedCypError` without its message.

    DuckDB, Polars and pyarrow quote cell values in their messages, and Dagster stores messages
    together with causes and contexts. So neither ``__cause__`` nor ``__context__`` of the new
    error leads back to the original. What is kept is its type and where it happened.

    Args:
        doing: what is done inside, for the message.
        only: the exceptions to turn; by default all.

    Raises:
        LinkedCypError: ``"<doing>: <type of the original exception> (<module>:<line>)"``.
    """

    def __init__(self, doing: str, only: type[Exception] = Exception) -> None:
        self.doing = doing
        self.only = only

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, self.only) or isinstance(error, LinkedCypError):
            return
        safe = LinkedCypError(f"{self.doing}: {type(error).__name__}{place(trace)}")
        try:
            raise safe
        finally:
            safe.__context__ = None  # set by the raise: the original, with its values


Step = TypeVar("Step", bound=Callable[..., Any])


def door(doing: str) -> Callable[[Step], Step]:
    """Guard a step that the orchestrator calls: whatever is raised inside becomes value-free here,
    before anything logs or stores it.

    Args:
        doing: what the step does, for its error.
    """

    def behind(step: Step) -> Step:
        if inspect.isgeneratorfunction(step):

            @wraps(step)
            def guarded(*args: Any, **kwargs: Any) -> Any:
                with value_free(doing):
                    yield from step(*args, **kwargs)

        else:

            @wraps(step)
            def guarded(*args: Any, **kwargs: Any) -> Any:
                with value_free(doing):
                    return step(*args, **kwargs)

        guarded.is_door = True  # type: ignore[attr-defined]
        return cast(Step, guarded)

    return behind


def place(trace: TracebackType | None) -> str:
    """The innermost line of our own code that the error passed through."""
    frames = [
        (Path(frame.f_code.co_filename), line)
        for frame, line in traceback.walk_tb(trace)
        if Path(frame.f_code.co_filename).is_relative_to(_PACKAGE)
        and Path(frame.f_code.co_filename) != Path(__file__)
    ]
    if not frames:
        return ""
    file, line = frames[-1]
    return f" ({file.relative_to(_PACKAGE.parent)}:{line})"


_PACKAGE = Path(__file__).resolve().parents[1]
