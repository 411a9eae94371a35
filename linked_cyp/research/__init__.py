"""The researcher's door: open a release, see what is in it, ask it questions.

    from linked_cyp import research

    release = research.open("releases/demo/current.duckdb")
    release.tables()
    release.describe("curated.child.sex_code")
    release.query("SELECT count(*) AS children FROM curated.child")

A release is opened read-only in a session that can read nothing else: no other file, no other
database, no extension, no export, and no way to turn that off. That keeps a query from straying;
what leaves the secure environment is for its output checking to decide.
"""

from linked_cyp.research.output import rounded_counts
from linked_cyp.research.release import Release, open_release
from linked_cyp.research.variable import Variable

open = open_release  # read as research.open(...)

__all__ = ["Release", "Variable", "open", "open_release", "rounded_counts"]
