"""Releases: one immutable DuckDB file per project and release, for researchers to read.

A release holds the curated and cohort tables a project names, under ids that are the project's
own, with comments, a dictionary and its provenance. It is built in a folder nobody reads, checked,
and only then given its name; a pointer says which release is current.

What publishes is imported when it is asked for: it brings charts, pages and lineage, and a command
that only looks which release is current should not wait a second for them.
"""

from typing import TYPE_CHECKING, Any

from linked_cyp.release.files import ReleaseRef, current, releases, rollback
from linked_cyp.release.gate import gate
from linked_cyp.release.project import Project, load_project

if TYPE_CHECKING:
    from linked_cyp.release.publishing import content_hash_of, publish, refusals

__all__ = [
    "Project",
    "ReleaseRef",
    "content_hash_of",
    "current",
    "gate",
    "load_project",
    "publish",
    "refusals",
    "releases",
    "rollback",
]


def __getattr__(name: str) -> Any:
    if name in ("content_hash_of", "publish", "refusals"):
        from linked_cyp.release import publishing

        return getattr(publishing, name)
    raise AttributeError(f"linked_cyp.release has no {name}")
