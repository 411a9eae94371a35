"""Releases: one immutable DuckDB file per project and release, for researchers to read.

A release holds the curated and cohort tables a project names, under ids that are the project's
own, with comments, a dictionary and its provenance. It is built in a folder nobody reads, checked,
and only then given its name; a pointer says which release is current.
"""

from linked_cyp.release.files import ReleaseRef, current, releases, rollback
from linked_cyp.release.gate import gate
from linked_cyp.release.project import Project, load_project
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
