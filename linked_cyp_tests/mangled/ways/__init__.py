"""Ways in which spreadsheets, exports, people and networks spoil a file, each a small function.

A way takes a file to a file (or a delivery to a delivery) and gives None where it does not fit: it
would change nothing, or the feed has no such column. ``WAYS`` names them all.
"""

from __future__ import annotations

# imported in this order, in which they are shown
from linked_cyp_tests.mangled.ways import (  # isort: skip  # noqa: F401
    values,
    sheets,
    content,
    returns,
    swapped,
    packing,
)
from linked_cyp_tests.mangled.ways.registry import WAYS, Way, is_day, later, moment

__all__ = ["WAYS", "Way", "is_day", "later", "moment"]
